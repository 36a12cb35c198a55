"""The class of a file whose run is a batch."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from operations.findings.classification import ClassificationLimits, classify
from operations.findings.findings import Kind, Notify, RunFacts, Source
from operations.findings.output_state import OutputState

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = Source("inbox", "a.raw", 1, "tag", NOW)


def batch(state_type: str, state_name: str) -> RunFacts:
    return RunFacts("run", "state", state_type, state_name, "", 9, NOW, in_batch=True)


@pytest.mark.parametrize(
    ("state_type", "state_name", "kind", "action"),
    [
        ("SCHEDULED", "Scheduled", Kind.QUEUED, None),
        ("RUNNING", "Running", Kind.RUNNING, None),
        # The same bytes would fail again.
        ("FAILED", "BadFile", Kind.QUARANTINED, None),
        # A transient failure is retried alone: the other files of the batch are done.
        ("FAILED", "TransientFault", Kind.FAILED, Notify(0, is_repair=True)),
        ("CRASHED", "Crashed", Kind.CRASHED, Notify(0, is_repair=True)),
    ],
)
def test_a_file_of_a_batch_has_its_own_class_and_is_fixed_by_its_own_run(
    state_type: str, state_name: str, kind: Kind, action: Notify | None
) -> None:
    found = classify(
        SOURCE, [batch(state_type, state_name)], OutputState("absent"), ClassificationLimits(), NOW
    )
    assert (found.kind, found.action) == (kind, action)
