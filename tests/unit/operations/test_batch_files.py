"""The class of a file whose run is a batch."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from operations.clients.batch_files import run_facts
from operations.findings.classification import ClassificationLimits, classify
from operations.findings.findings import Kind, Notify, RunFacts, Source

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = Source("inbox", "a.raw", 1, "tag", NOW)


@pytest.mark.parametrize(
    ("tags", "is_repair"),
    [(["repair"], True), (["mends"], True), (["model:EK60"], False), (None, False)],  # former name
)
def test_a_repair_is_known_by_its_tag_and_by_the_former_one(
    tags: list[str] | None,
    is_repair: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    state = {"id": "s", "type": "FAILED", "name": "Failed", "timestamp": NOW.isoformat()}
    assert run_facts({"id": "r", "state": state, "tags": tags}).is_repair is is_repair


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
        SOURCE,
        [batch(state_type, state_name)],
        (Kind.OUTPUT_MISSING, ""),
        ClassificationLimits(),
        NOW,
    )
    assert (found.kind, found.action) == (kind, action)
