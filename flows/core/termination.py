"""Turns SIGTERM and SIGHUP into exceptions, so that running code cleans up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# The signals of a stopped task and of a closed terminal.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """End the block with an exception on SIGTERM and SIGHUP, so that it cleans up.

    A signal that the process already handles or ignores is left alone; Prefect's engine
    handles SIGTERM, and `nohup` ignores SIGHUP.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    ours = [
        each
        for each in _SIGNALS
        if threading.current_thread() is threading.main_thread()
        and signal.getsignal(each) is signal.SIG_DFL
    ]
    for each in ours:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)
