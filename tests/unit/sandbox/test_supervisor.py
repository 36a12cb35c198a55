"""A part that exits is restarted, as ECS restarts a service's tasks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.parts.part_set import PartSet
from sandbox.parts.processes import Part
from sandbox.parts.waiting import wait_until
from tests.chaos.execution import ChaosSupervisor


def serving(name: str, folder: Path, code: str = "import time; print('up', flush=True)") -> Part:
    command = [sys.executable, "-c", f"{code}; time.sleep(600)"]
    return Part(name, command, {}, folder / f"{name}.log", is_ready="up")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[PartSet]:
    running = PartSet(lambda _part, _state: None)
    for name in ("one", "other"):
        running.launch(serving(name, tmp_path))
    running.wait_ready("one", "other")
    yield running
    running.stop("one", "other", "flaky")


def test_a_killed_part_restarts_after_its_downtime_and_not_earlier(parts: PartSet) -> None:
    supervisor, other = ChaosSupervisor(parts), parts["other"].pid
    supervisor.kill("one", 0.5)
    killed = time.monotonic()
    supervisor.step()
    assert not parts["one"].is_running

    def is_back() -> bool:
        supervisor.step()
        return parts["one"].is_running

    wait_until(is_back, 30, "the restart", every=0.02)
    assert time.monotonic() - killed >= 0.5
    assert parts["other"].pid == other
    assert dict(supervisor.restarts) == {"one": 1}


@pytest.mark.slow
def test_a_part_that_exits_is_restarted_until_it_is_ready(parts: PartSet, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    # Exits at its first two starts, like a database whose old processes are still running.
    code = (
        f"import pathlib, sys, time; mark = pathlib.Path({str(mark)!r}); "
        "tried = len(mark.read_text()) if mark.exists() else 0; "
        "mark.write_text('x' * (tried + 1)); tried < 2 and sys.exit(1); print('up', flush=True)"
    )
    parts.launch(serving("flaky", tmp_path, code))
    supervisor = ChaosSupervisor(parts)
    supervisor.restart_all(within=60)
    assert parts["flaky"].is_running
    assert dict(supervisor.restarts) == {"flaky": 2}


@pytest.mark.slow
def test_the_error_names_a_part_that_is_never_ready(parts: PartSet, tmp_path: Path) -> None:
    parts.launch(serving("flaky", tmp_path, "raise SystemExit(1)"))
    with pytest.raises(TimeoutError, match=r"^flaky not ready after 2 s$"):
        ChaosSupervisor(parts).restart_all(within=2)
