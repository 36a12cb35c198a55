"""The base class of the sandbox's errors."""


class SandboxError(Exception):
    """The sandbox cannot start or continue; the message explains why."""
