"""The one class under all that keeps a sandbox from starting or running."""


class SandboxError(Exception):
    """The sandbox cannot start or go on; the message says why, for people."""
