"""The conversion of one file in plain Python: fetch, check, parse, encode, publish, verify.

The Prefect flow runs `open_raw` and `save` as its two tasks; the command line and other
callers use `convert`.
"""

from __future__ import annotations

from flows.closing import closed
from flows.opened_raw import OpenedRaw, open_raw
from flows.publication import Progress, Published, Skipped
from flows.request import ConversionRequest
from flows.saving import save
from flows.termination import stopped_by_signals
from flows.transient_faults import patiently

__all__ = ["OpenedRaw", "convert", "open_raw", "save"]


def convert(request: ConversionRequest, progress: Progress | None = None) -> Published | Skipped:
    """Convert one raw file into a published, verified output.

    Raises:
        ConversionFailure: one of its subclasses, with the facts of the failure.
        TransientFault: the store did not answer, or another run held the output, for minutes.
    """
    tell = progress or (lambda _stage, _fraction: None)
    with (
        stopped_by_signals(),
        closed(patiently(lambda: open_raw(request, tell))) as opened,
    ):
        return opened if isinstance(opened, Skipped) else patiently(lambda: save(opened, tell))
