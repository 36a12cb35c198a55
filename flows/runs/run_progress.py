"""A progress artifact in the Prefect UI, for large files."""

from __future__ import annotations

import contextvars
import threading
from types import TracebackType
from typing import Self
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

# Percentage at the end of each stage, measured on a 100 MB EK60 file.
_STAGES = {
    "fetch": (0.0, 20.0),
    "preflight": (20.0, 22.0),
    "open": (22.0, 50.0),
    "encode": (50.0, 70.0),
    "publish": (70.0, 92.0),
    "verify": (92.0, 99.0),
    "manifest": (99.0, 100.0),
}

# A faster conversion needs no progress bar, and sends no request.
_INTERVAL_SECONDS = 2.0


class ProgressArtifact:
    """Takes progress from any thread, and updates the server at most every two seconds."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._percent = 0.0
        self._stage = "fetch"
        self._over = threading.Event()
        self._logger = get_run_logger()

    def __enter__(self) -> Self:
        # The artifact belongs to the task run, which other threads do not know.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._update_server,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(timeout=10)

    def __call__(self, stage: str, fraction: float) -> None:
        """Record how far a stage is, 0 to 1."""
        first, last = _STAGES[stage]
        if stage != self._stage:
            self._stage = stage
            self._logger.info("%s: %s", self._description, stage)
        self._percent = first + (last - first) * min(1.0, fraction)

    def _update_server(self) -> None:
        artifact: UUID | None = None
        shown = -1.0
        while not self._over.wait(_INTERVAL_SECONDS):
            if self._percent == shown:
                continue
            shown = self._percent
            try:
                if artifact is None:
                    created = create_progress_artifact(shown, description=self._description)
                    # Prefect's annotation includes the coroutine for async callers.
                    assert isinstance(created, UUID)  # noqa: S101
                    artifact = created
                else:
                    update_progress_artifact(artifact, progress=shown)
            # BLE001: a failed update must not stop the conversion.
            except Exception as error:  # noqa: BLE001
                self._logger.debug("progress not updated: %s", error)
