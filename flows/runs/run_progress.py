"""Prefect's artifacts of a conversion: its progress, the manifest as a table, the output as a link."""

from __future__ import annotations

import contextvars
import threading
from typing import Any, Self
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger

from flows.core.only_warned import only_warned
from flows.publishing.manifest import manifest_rows

DONE = 100.0
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


def stopped_at(description: str, outcome: str) -> str:
    """The description of a progress that goes no further."""
    return f"{description}: stopped, {outcome}"


class ProgressArtifact:
    """Takes progress from any thread, and updates the server at most every two seconds.

    It ends at 100 %, or its description says what stopped it. It covers the stages `first` to
    `last`.
    """

    def __init__(self, description: str, first: str = "fetch", last: str = "manifest") -> None:
        self._description = description
        self._from, self._to = _STAGES[first][0], _STAGES[last][1]
        self._percent = 0.0
        self._stage = first
        self._artifact: UUID | None = None
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

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=10)
        if self._artifact is None:
            return
        if kind is None:
            self._percent = DONE
        else:
            self._description = stopped_at(self._description, kind.__name__)
        self._show()

    def __call__(self, stage: str, fraction: float) -> None:
        """Record how far a stage is, 0 to 1."""
        first, last = _STAGES[stage]
        if stage != self._stage:
            self._stage = stage
            self._logger.info("%s: %s", self._description, stage)
        reached = first + (last - first) * min(1.0, fraction)
        self._percent = DONE * (reached - self._from) / (self._to - self._from)

    def _update_server(self) -> None:
        shown = -1.0
        while not self._over.wait(_INTERVAL_SECONDS):
            if self._percent != shown:
                shown = self._percent
                self._show()

    def _show(self) -> None:
        try:
            if self._artifact is None:
                created = create_progress_artifact(self._percent, description=self._description)
                # Prefect's annotation includes the coroutine for async callers.
                assert isinstance(created, UUID)  # noqa: S101
                self._artifact = created
            else:
                update_progress_artifact(
                    self._artifact, progress=self._percent, description=self._description
                )
        # BLE001: a failed update must not stop the conversion.
        except Exception as error:  # noqa: BLE001
            self._logger.debug("progress not updated: %s", error)


def show_manifest(manifest: dict[str, Any]) -> None:
    """Show the manifest in the UI; an error of the server does not fail the conversion."""
    output = manifest["output"]["uri"]
    with only_warned(get_run_logger, "artifacts not created"):
        create_table_artifact(manifest_rows(manifest), key="manifest", description=output)
        create_link_artifact(output, link_text=output, key="output", description=output)
