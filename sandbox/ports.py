"""Free loopback ports for the sandbox's servers."""

import random
import socket

HOST = "127.0.0.1"

# Below Linux's ephemeral range (32768 and up), so that an outgoing connection
# cannot take the port between the moment it is found and the moment it is used.
_LOWEST, _HIGHEST = 20_000, 32_700


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Find a loopback port nobody listens on.

    Drawn at random rather than counted up, so that sandboxes starting side by
    side do not reach for the same one.

    Raises:
        OSError: none of 200 ports drawn was free.
    """
    # The system's randomness: a seeded test run would draw the same ports in
    # each of its worker processes.
    draw = random.SystemRandom()
    for _ in range(200):
        port = draw.randint(_LOWEST, _HIGHEST)
        if is_free(port):
            return port
    raise OSError(f"no free port on {HOST} between {_LOWEST} and {_HIGHEST}")
