"""What must not change how a run ends: its errors are logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Log: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"


@contextmanager
def only_warned(log: Log | Callable[[], Log], what: str) -> Iterator[None]:
    """Log any error of the block as a warning that begins with `what`, and go on behind it.

    `log` is a logger, or what returns it when there is an error.
    """
    try:
        yield
    # BLE001: what the run is for is done, or has failed and is reported.
    except Exception as error:  # noqa: BLE001
        (log() if callable(log) else log).warning("%s: %s", what, str(error) or repr(error))
