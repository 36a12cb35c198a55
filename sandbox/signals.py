"""How a program that holds a sandbox is told to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM unwind the program, so that all it started is stopped.

    The first one raises KeyboardInterrupt; later ones are ignored, as the
    stopping that is under way has time limits of its own. Also undoes an
    ignored SIGINT, which a shell gives to what it starts with `&`.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
