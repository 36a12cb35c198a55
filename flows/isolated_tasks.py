"""Run Prefect tasks side by side, such that one that kills its process harms no other."""

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

from flows.batch_runners import RunnerName, started_runner

_PROCESS_DIED = "its process died, most likely for want of memory: give the file a run of its own, of a larger size"


def run_isolated(
    task: Task[..., Any],
    calls: Sequence[dict[str, Any]],
    workers: int,
    runner: RunnerName = "processes",
) -> list[State[Any]]:
    """Run the task once for each call, and return the final states in the calls' order.

    A process that dies takes others with it: a pool breaks as a whole, and Dask
    suspects every call that its worker held. What had no end by then is run
    again one by one, until the call that kills its process is found; that one
    is Crashed, the others go on side by side. Threads have one process, whose
    death is the run's.

    Args:
        task: to run; its calls must not depend on each other, and bear being repeated.
        calls: parameters of each.
        workers: calls at once; a Dask scheduler that is there already has its own number.
        runner: what runs them.
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
                "a process died: %s files without an end go one by one", len(left)
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
    """Run the calls at `places` side by side; whether any was left without an end."""
    orphans: list[UUID] = []
    futures: list[tuple[int, PrefectWrappedFuture[Any, Any]]] = [
        (place, runner.submit(task, calls[place])) for place in places
    ]
    for place, future in futures:
        # A task run ends in a state, whatever the task raised; what is raised here
        # is the runner's: the process is gone. Dask's future keeps it to itself in `wait`.
        if future.wrapped_future.exception() is not None:
            orphans.append(future.task_run_id)
            continue
        future.wait()
        ended[place] = future.state
    _tell_crashed(orphans)
    return bool(orphans)


def _tell_crashed(task_runs: Sequence[UUID]) -> None:
    """End what died without a word: its task runs would stay Running for ever."""
    with get_client(sync_client=True) as client:
        for identity in task_runs:
            try:
                client.set_task_run_state(identity, Crashed(message=_PROCESS_DIED), force=True)
            except (httpx.HTTPError, PrefectException) as error:
                # It had not begun, and the server has never heard of it.
                get_run_logger().debug("task run %s not ended: %s", identity, error)
