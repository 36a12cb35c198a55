"""A seed gives reproducible files and a limited plan with every kind of fault."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.files import make_files
from tests.chaos.plan import FaultKind, make_plan
from tests.chaos.task_history import executed_tasks, overlapping_runs


def test_the_same_seed_gives_the_same_plan_and_another_seed_does_not() -> None:
    first, again, other = (make_plan(seed, uploads=60, seconds=90) for seed in (1, 1, 2))
    assert first == again
    assert first.faults != other.faults
    assert first.uploads != other.uploads


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_has_every_kind_of_fault_within_the_limits(seed: int) -> None:
    plan = make_plan(seed, uploads=70, seconds=90)
    assert set(plan.counts()) == set(FaultKind)
    assert max(plan.counts().values()) <= 4
    assert list(plan.faults) == sorted(plan.faults)
    assert all(0 <= fault.at <= 90 and 0 <= fault.seconds <= 20 for fault in plan.faults)
    assert list(plan.uploads) == sorted(plan.uploads)
    assert len(plan.uploads) == 70
    assert 0 <= plan.uploads[0] <= plan.uploads[-1] <= 60


def test_longer_plans_have_more_faults_and_excluded_kinds_are_left_out() -> None:
    short, long = (make_plan(3, uploads=1, seconds=seconds) for seconds in (90, 270))
    assert len(long.faults) == 3 * len(short.faults)
    without = make_plan(3, uploads=1, seconds=90, without=[FaultKind.DATABASE])
    # The other faults do not change.
    assert list(without.faults) == [
        fault for fault in short.faults if fault.kind is not FaultKind.DATABASE
    ]


def test_the_files_of_a_seed_are_mixed_and_reproducible(real_data: Path) -> None:
    files = make_files(real_data, seed=5)
    assert files == make_files(real_data, seed=5)
    assert len(files.outcomes) == 60
    assert files.outcomes.keys() != make_files(real_data, seed=6).outcomes.keys()
    outcomes = Counter((outcome.kind, outcome.name) for outcome in files.outcomes.values())
    assert set(outcomes) == {
        ("done", ""),
        ("quarantined", "BadFile"),
        ("quarantined", "UnsupportedDatagram"),
        ("rejected", "unknown-extension"),
        ("rejected", "empty"),
        ("rejected", "contradiction"),
        ("rejected", "unknown-content"),
        ("ignored", "companion"),
    }
    assert 20 < outcomes["done", ""] < 50
    assert files.notified_again <= files.outcomes.keys()
    # The expected outcome is that of a key's last upload.
    last = {upload.key: upload.content for upload in files.uploads}
    again = [key for key, number in Counter(u.key for u in files.uploads).items() if number > 1]
    assert again
    assert all(files.outcomes[key].facts["bytes"] == len(last[key]) for key in again)


def test_settings_are_uploaded_before_or_after_their_data(real_data: Path) -> None:
    keys = [
        upload.key
        for seed in range(3)
        for upload in make_files(real_data, seed=seed).uploads
        if upload.key.startswith("azfp/")
    ]
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault("/".join(key.split("/")[:2]), key.rpartition(".")[2])
    assert set(first.values()) == {"XML", "01A"}


LOG = """\
2026-01-01 00:00:00,100 running up to 2 tasks of cluster default
2026-01-01 00:00:01,100 task arn:1 of flow run a runs as process 11
2026-01-01 00:00:02,100 task arn:2 of flow run b runs as process 12
2026-01-01 00:00:03,100 task arn:1 stopped: exit code 137
2026-01-01 00:00:03,200 task arn:3 of flow run a runs as process 13
2026-01-01 00:00:04,000 task arn:4 stopped: exit code None stopped before it started
"""


def test_tasks_are_read_from_their_executors_log() -> None:
    tasks = executed_tasks(LOG.splitlines())
    assert [(task.run, task.exit_code, task.ended is None) for task in tasks] == [
        ("a", "137", False),
        ("b", "", True),
        ("a", "", True),
    ]
    assert overlapping_runs(tasks) == []


def test_a_run_with_two_tasks_at_the_same_time_is_found() -> None:
    more = LOG + "2026-01-01 00:00:05,000 task arn:5 of flow run b runs as process 14\n"
    assert overlapping_runs(executed_tasks(more.splitlines())) == ["b"]
    early = LOG.replace("00:00:03,200 task arn:3", "00:00:03,000 task arn:3")
    assert overlapping_runs(executed_tasks(early.splitlines())) == ["a"]
