"""SIGTERM as an exception: what is under way cleans up behind itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception, so that it cleans up behind itself.

    Left alone is a process that handles SIGTERM already, as Prefect's engine does.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    in_charge = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if in_charge:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if in_charge:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
