"""Runs Prefect tasks in parallel, so that a task that kills its process does not fail others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.exceptions import PrefectException
from prefect.futures import PrefectWrappedFuture
from prefect.logging import get_run_logger
from prefect.states import Crashed
from prefect.task_runners import TaskRunner
from prefect.tasks import Task

from flows.runs.batch.batch_runners import RunnerName, started_runner

_PROCESS_DIED = "its process died, probably out of memory: convert the file alone on a larger task"


def run_isolated(
    task: Task[..., Any],
    calls: Sequence[dict[str, Any]],
    workers: int,
    runner: RunnerName = "processes",
) -> list[State[Any]]:
    """Run the task once for each call, and return the final states in the calls' order.

    A process that dies affects other calls: a process pool fails as a whole, and Dask
        suspects every call of the worker. So the unfinished calls are repeated one by
        one, until the call that kills its process is found. That call is Crashed, and
        the others continue in parallel. Threads share one process, and if it dies, the
        run dies.

    Args:
        task: the task; its calls must be independent of each other and repeatable.
        calls: parameters of each call.
        workers: calls in parallel; a Dask scheduler that is already running uses its own number.
        runner: the task runner.
    """
    ended: dict[int, State[Any]] = {}
    left = list(range(len(calls)))
    at_once = workers
    while left:
        with started_runner(runner, min(at_once, len(left))) as started:
            groups = [left] if at_once > 1 else [[place] for place in left]
            broken = any(_run(started, task, calls, group, ended) for group in groups)
        left = [place for place in left if place not in ended]
        if broken and at_once == 1:
            ended[left.pop(0)] = Crashed(message=_PROCESS_DIED)
            at_once = workers
        elif broken:
            get_run_logger().warning(
                "a process died: %s unfinished files are converted one by one", len(left)
            )
            at_once = 1
    return [ended[place] for place in range(len(calls))]


def _run(
    runner: TaskRunner[Any],
    task: Task[..., Any],
    calls: Sequence[dict[str, Any]],
    places: Sequence[int],
    ended: dict[int, State[Any]],
) -> bool:
    """Run the calls at `places` in parallel; return whether any is unfinished."""
    orphans: list[UUID] = []
    futures: list[tuple[int, PrefectWrappedFuture[Any, Any]]] = [
        (place, runner.submit(task, calls[place])) for place in places
    ]
    for place, future in futures:
        # A task run always ends in a state. An exception here comes from the runner, because the
        # process died. Dask's future does not raise it in `wait`.
        if future.wrapped_future.exception() is not None:
            orphans.append(future.task_run_id)
            continue
        future.wait()
        ended[place] = future.state
    _set_crashed(orphans)
    return bool(orphans)


def _set_crashed(task_runs: Sequence[UUID]) -> None:
    """Set the task runs of dead processes to Crashed; they would stay Running for ever."""
    with get_client(sync_client=True) as client:
        for identity in task_runs:
            try:
                client.set_task_run_state(identity, Crashed(message=_PROCESS_DIED), force=True)
            except (httpx.HTTPError, PrefectException) as error:
                # It had not begun, so the server does not know it.
                get_run_logger().debug("task run %s not set to Crashed: %s", identity, error)
