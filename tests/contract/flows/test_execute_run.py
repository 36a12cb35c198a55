"""A task exits with the code of its flow's process, so that ECS and Prefect agree."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
import psutil
import pytest
from prefect.client.schemas.objects import State
from prefect.runner._flow_run_executor import FlowRunExecutor
from prefect.states import Cancelling

from flows.runs import execute_run
from sandbox.parts.waiting import wait_until
from tests.contract.conftest import ApiCall
from tests.contract.flows.task_runs import started_task

WORK = """
import os, signal, threading, time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from prefect import flow
from flows.runs.run_states import end_out_of_memory
from flows.runs.time_limit import time_limited

@flow
def work(how: str) -> None:
    if how == "fails":
        raise ValueError("a bad file")
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "waits":
        time.sleep(120)
    if how == "memory":
        try:
            bytearray(2**62)
        except MemoryError as error:
            return end_out_of_memory(error)
    if how == "hangs":
        # A thread that never ends prevents every exception from leaving the block.
        with time_limited(work, timedelta(seconds=2)), ThreadPoolExecutor() as pool:
            pool.submit(threading.Event().wait).result()
    if how == "ends in time":
        with time_limited(work, timedelta(seconds=2)):
            pass
        time.sleep(4)
"""


class Task:
    """A run and the first process of its task."""

    def __init__(self, api: ApiCall, run_id: str, process: subprocess.Popen[bytes]) -> None:
        self.api, self.run_id, self.process = api, run_id, process

    @property
    def state(self) -> tuple[str, str]:
        state = self.api("GET", f"/flow_runs/{self.run_id}")["state"]
        return state["type"], state["name"]

    def engine(self) -> psutil.Process:
        """The flow's process, once the flow is running."""
        wait_until(lambda: self.state[0] == "RUNNING", 60, "the flow to run", every=0.1)
        (engine,) = psutil.Process(self.process.pid).children()
        return engine


@pytest.fixture
def start(prefect_api: ApiCall, prefect_api_url: str, tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "work.py").write_text(WORK)
    flow = prefect_api("POST", "/flows/", {"name": "work"})
    deployment = prefect_api(
        "POST",
        "/deployments/",
        {
            "name": "execute-run",
            "flow_id": flow["id"],
            "path": str(tmp_path),
            "entrypoint": "work.py:work",
        },
    )
    processes = []

    def run(how: str) -> Task:
        made = prefect_api(
            "POST", f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"how": how}}
        )
        process = started_task(made["id"], prefect_api_url, tmp_path)
        processes.append(process)
        return Task(prefect_api, made["id"], process)

    yield run
    for process in processes:
        process.kill()


@pytest.mark.parametrize(
    ("how", "code", "state"),
    [
        # It set its own state in Prefect, so its task succeeds.
        ("fails", 0, "FAILED"),
        ("segfault", 128 + signal.SIGSEGV, "CRASHED"),
        ("hangs", 0, "FAILED"),
        ("ends in time", 0, "COMPLETED"),
    ],
)
def test_how_a_run_ends_is_its_task_s_exit_code(
    start: Any, how: str, code: int, state: str
) -> None:
    task = start(how)
    assert task.process.wait(90) == code
    assert task.state[0] == state
    if how == "hangs":
        assert task.state[1] == "TimedOut"


def test_a_memory_error_ends_the_task_as_linux_does(start: Any) -> None:
    task = start("memory")
    assert task.process.wait(90) == 137
    # The observer and the trigger see the same as after a kill.
    assert task.state[0] == "RUNNING"


def test_out_of_memory_ends_the_task_as_it_ends_the_flow(start: Any) -> None:
    task = start("waits")
    task.engine().kill()
    assert task.process.wait(90) == 137
    # The observer sets its state, and the trigger waits for that before it starts a larger task.
    assert task.state[0] == "RUNNING"


def test_a_run_that_is_cancelled_is_no_fault_of_its_task(start: Any) -> None:
    task = start("waits")
    # Ignores SIGTERM, so that Prefect kills it.
    task.engine().suspend()
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    task.api("POST", f"/flow_runs/{task.run_id}/set_state", cancelling)
    assert task.process.wait(60) == 0
    wait_until(lambda: task.state[0] == "CANCELLED", 90, "the run to be cancelled", every=0.1)


def test_a_cancelled_run_whose_task_is_stopped_at_the_same_time_is_cancelled(start: Any) -> None:
    task = start("waits")
    engine = task.engine()
    # It answers neither of the two.
    engine.suspend()
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    task.api("POST", f"/flow_runs/{task.run_id}/set_state", cancelling)
    task.process.terminate()
    assert task.process.wait(120) == 0
    # Prefect's own limit for a run in this state is 300 s.
    wait_until(lambda: task.state[0] == "CANCELLED", 60, "the run to be cancelled", every=0.1)


def test_a_stop_is_no_fault_though_it_comes_before_the_flow_s_end_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never_ends(*_: object) -> None:
        await anyio.sleep_forever()

    async def stop() -> None:
        executor = execute_run._Executor.__new__(execute_run._Executor)
        with anyio.move_on_after(0.05):
            await executor._start_process(anyio.TASK_STATUS_IGNORED)

    monkeypatch.setattr(FlowRunExecutor, "_start_process", never_ends)
    monkeypatch.setattr(execute_run._Executor, "exit_code", 0)
    anyio.run(stop)
    assert execute_run._Executor.exit_code == 0


def test_a_prefect_that_does_not_answer_at_the_end_is_no_fault_of_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def cancelling(_run: object) -> State:
        return Cancelling()

    def no_client() -> object:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(execute_run, "_state_of", cancelling)
    monkeypatch.setattr(execute_run, "get_client", no_client)
    anyio.run(execute_run._end_cancelling, uuid4())
