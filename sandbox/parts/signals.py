"""Signal handling of programs that run a sandbox."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C or SIGTERM, so that the program stops its processes.

    Later signals are ignored, because stopping has its own time limits. This also
    handles SIGINT if it was ignored, as in programs that a shell starts with `&`.
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
