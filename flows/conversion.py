"""The conversion of one file in plain Python: fetch, walk, open, stream, publish, verify.

    open_raw     flows/opened_raw.py
      fetch      flows/stores/fetching.py
      walk       flows/walk/walk.py
      open       flows/rawfile/engine.py
    save         flows/saving.py
      stream     flows/encoding/zarr_encoding.py
      publish    flows/publishing/s3_publishing.py
      verify     flows/publishing/zarr_verification.py

The Prefect flow runs `open_raw` and `save` as its two tasks; the command line and other
callers use `convert`.
"""

from __future__ import annotations

from contextlib import closing

from flows.core.progress import Progress
from flows.core.termination import stopped_by_signals
from flows.core.transient_faults import retry_step
from flows.opened_raw import OpenedRaw, open_raw
from flows.publishing.publication import Published, Skipped
from flows.saving import save
from flows.stores.request import ConversionRequest

__all__ = ["OpenedRaw", "convert", "open_raw", "save"]


def convert(request: ConversionRequest, progress: Progress | None = None) -> Published | Skipped:
    """Convert one raw file into a published, verified output.

    Raises:
        ConversionFailure: one of its subclasses, with the facts of the failure.
        TransientFault: the store did not answer, or another run held the output, for minutes.
    """
    report_progress = progress or (lambda _stage, _fraction: None)
    with (
        stopped_by_signals(),
        closing(retry_step(lambda: open_raw(request, report_progress))) as opened,
    ):
        if isinstance(opened, Skipped):
            return opened
        return retry_step(lambda: save(opened, report_progress))
