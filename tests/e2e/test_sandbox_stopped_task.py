"""The run of a task that ECS stops is retried automatically; a cancelled run is not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.measuring.grow import grow
from sandbox.parts.waiting import wait_until
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox
from tests.task_processes import flow_process, task_processes

pytestmark = pytest.mark.xdist_group("sandbox")

# Its conversion takes several times as long as the executor needs to notice that a task must stop.
GROWN_BYTES = 300_000_000

Started = Callable[[str], FlowRunInfo]


@pytest.fixture
def started(sandbox: Sandbox, inbox: SandboxInbox, real_data: Path, tmp_path: Path) -> Started:
    """Return a function that uploads a large file and returns its flow run, suspended early.

    Otherwise the conversion could end before a busy machine requests the stop.
    """
    grown = tmp_path / "grown.raw"
    grow(real_data / "ek60/D20070724-T042400.raw", grown, GROWN_BYTES)

    def start(key: str) -> FlowRunInfo:
        def running() -> FlowRunInfo | None:
            return next(
                (run for run in inbox.runs([key])[key] if run.state_type == "RUNNING"), None
            )

        inbox.drop(grown, key)
        run = wait_until(running, 120, "the run to start")
        # SIGTERM must reach the flow's process.
        wait_until(lambda: len(task_processes(sandbox, run.id)) > 1, 120, "the flow's process")
        flow_process(sandbox, run.id).suspend()
        return run

    return start


def stop_task_of(sandbox: Sandbox, run: FlowRunInfo) -> None:
    pid = sandbox.api.request("GET", f"/flow_runs/{run.id}")["infrastructure_pid"]
    cluster, _, task = pid.partition("::")
    sandbox.client("ecs").stop_task(cluster=cluster, task=task, reason="Spot interruption")
    flow_process(sandbox, run.id).resume()


def states(sandbox: Sandbox, run: FlowRunInfo) -> list[str]:
    found = sandbox.api.request("GET", f"/flow_run_states/?flow_run_id={run.id}")
    return [state["name"] for state in sorted(found, key=lambda state: state["timestamp"])]


def wait_for_end(sandbox: Sandbox, run: FlowRunInfo) -> FlowRunInfo:
    def end() -> FlowRunInfo | None:
        now = sandbox.api.flow_run(run.id)
        return now if now.is_final else None

    return wait_until(
        end, 360, "the run to end", every=0.5, describe=lambda: str(states(sandbox, run))
    )


def test_the_run_of_a_stopped_task_is_retried_and_never_crashed(
    sandbox: Sandbox, inbox: SandboxInbox, started: Started
) -> None:
    run = started("stopped/moved.raw")
    stop_task_of(sandbox, run)
    ended = wait_for_end(sandbox, run)
    assert (ended.state_name, ended.run_count) == ("Completed", 2)
    names = states(sandbox, run)
    assert "AwaitingRetry" in names
    assert "Crashed" not in names
    assert "stopped/moved.zarr.manifest.json" in inbox.outputs("stopped/moved.zarr.")


def test_a_cancelled_run_is_not_retried_after_its_task_stops(
    sandbox: Sandbox, inbox: SandboxInbox, started: Started
) -> None:
    run = started("stopped/cancelled.raw")
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    sandbox.api.request("POST", f"/flow_runs/{run.id}/set_state", cancelling)
    stop_task_of(sandbox, run)
    assert wait_for_end(sandbox, run).state_name == "Cancelled"
    wait_until(lambda: not task_processes(sandbox, run.id), 60, "its task to be gone")
    assert "AwaitingRetry" not in states(sandbox, run)
    assert not [key for key in inbox.outputs("stopped/cancelled") if key.endswith(".manifest.json")]
