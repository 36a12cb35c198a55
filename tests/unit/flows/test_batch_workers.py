"""As many parallel files as processors and memory allow, but at least one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.runs.task_resources import TaskResources, cgroup_limits, task_resources, worker_count
from task_sizes import LARGE, STANDARD, peak_bytes, usable_bytes
from tests.ecs_endpoint import VARIABLE, ecs_endpoint

GB = 10**9
SMALL = peak_bytes("EK60", 2_000_000)


def test_processors_decide_for_small_files() -> None:
    assert worker_count([SMALL] * 60, TaskResources(2.0, 16 * GB)) == 2
    assert worker_count([SMALL] * 60, TaskResources(0.5, 4 * GB)) == 1
    assert worker_count([SMALL], TaskResources(16.0, 64 * GB)) == 1
    assert worker_count([SMALL] * 60, TaskResources(16.0, 64 * GB), max_workers=3) == 3


def test_memory_decides_for_larger_ones() -> None:
    assert worker_count([4 * GB] * 8, TaskResources(8.0, 16 * GB)) == 3
    # The smaller ones may run together with the largest.
    assert worker_count([8 * GB, GB, GB], TaskResources(8.0, 16 * GB)) == 3


def test_a_file_that_does_not_fit_is_tried_alone() -> None:
    assert worker_count([100 * GB, SMALL], TaskResources(4.0, 4 * GB)) == 1
    assert worker_count([], TaskResources(4.0, 4 * GB)) == 1


def test_every_size_of_task_keeps_its_processors_busy_with_small_files() -> None:
    for size in (STANDARD, LARGE):
        resources = TaskResources(size.cpu / 1024, size.memory * 2**20)
        assert worker_count([SMALL] * 100, resources) == size.cpu // 1024


@given(
    st.lists(st.integers(1, 20 * GB), min_size=1, max_size=30),
    st.floats(0.25, 16),
    st.integers(GB, 120 * GB),
)
def test_the_largest_fit_side_by_side(peaks: list[int], processors: float, memory: int) -> None:
    resources = TaskResources(processors, memory)
    count = worker_count(peaks, resources)
    assert 1 <= count <= len(peaks)
    if count > 1:
        assert sum(sorted(peaks)[-count:]) <= usable_bytes(resources.memory)
        assert count < processors + 1


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """ECS's response for /task."""
    answers: dict[str, object] = {}
    with ecs_endpoint(answers) as uri:
        monkeypatch.setenv(VARIABLE, uri)
        yield answers


def test_a_fargate_task_s_limits_are_ecs_s(metadata: dict[str, object]) -> None:
    metadata["Limits"] = {"CPU": 0.5, "Memory": 2048}
    assert task_resources() == TaskResources(0.5, 2048 * 2**20)


def test_elsewhere_the_machine_is_the_limit(
    metadata: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = task_resources()
    assert 1 <= machine.processors <= (os.cpu_count() or 1)
    assert machine.memory > 2**28
    monkeypatch.delenv(VARIABLE)
    assert task_resources() == machine


@pytest.mark.parametrize(
    ("own", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "2000"}, [2000]),
        ("0::/\n", {"memory.max": "max"}, []),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "3000"}, [3000]),
        (
            "5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/x\n",
            {"memory/memory.limit_in_bytes": "4000"},
            [4000],
        ),
        ("", {"memory.max": "2000"}, []),
    ],
)
def test_a_container_s_limit_is_the_tightest_of_its_groups(
    tmp_path: Path, own: str, files: dict[str, str], limits: list[int]
) -> None:
    for name, text in files.items():
        path = tmp_path / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (tmp_path / "own").write_text(own)
    assert cgroup_limits(tmp_path / "mount", tmp_path / "own") == limits
    assert cgroup_limits(tmp_path / "mount", tmp_path / "none") == []
