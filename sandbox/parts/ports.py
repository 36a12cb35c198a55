"""Free loopback ports for the sandbox's servers."""

import random
import socket

HOST = "127.0.0.1"

# Below Linux's ephemeral ports (32768 and up), so that no outgoing connection can
# take a port before the server uses it.
_LOWEST, _HIGHEST = 20_000, 32_700


def is_free(port: int) -> bool:
    """Return whether a server can listen on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a free loopback port.

    Ports are tried at random, so that sandboxes that start at the same time do not
    choose the same port.

    Raises:
        OSError: 200 ports were tried and none was free.
    """
    # Not `random`'s own generator: with a seed, all test processes would get the same ports.
    draw = random.SystemRandom()
    for _ in range(200):
        port = draw.randint(_LOWEST, _HIGHEST)
        if is_free(port):
            return port
    raise OSError(f"no free port on {HOST} between {_LOWEST} and {_HIGHEST}")
