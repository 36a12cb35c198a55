"""Runs Prefect tasks in parallel, so that a task that kills its process does not fail others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.exceptions import PrefectException
from prefect.futures import PrefectWrappedFuture
from prefect.logging import get_run_logger
from prefect.states import Crashed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from flows.core.outcomes import InvalidParameters, TransientFault

RunnerName = Literal["processes", "threads", "dask"]

_PROCESS_DIED = "its process died, probably out of memory: convert the file alone on a larger task"


def run_isolated(
    task: Task[..., Any],
    calls: Sequence[dict[str, Any]],
    workers: int,
    runner: RunnerName = "processes",
) -> list[State[Any]]:
    """Run the task once for each call, and return the final states in the calls' order.

    A process that dies affects other calls: a process pool fails as a whole, and Dask suspects
    every call of the worker. So the unfinished calls are repeated one by one, until the call that
    kills its process is found. That call is Crashed, and the others continue in parallel. Threads
    share one process, and if it dies, the run dies. Calls must be independent of each other and
    repeatable. A Dask scheduler that is already running uses its own number of workers.
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


def dask_scheduler() -> str | None:
    """The address of a running scheduler, from where Dask reads it: its environment or configuration.

    Raises:
        InvalidParameters: the packages are not installed.
    """
    try:
        import dask  # noqa: PLC0415 - only a Dask batch needs it
        import prefect_dask  # noqa: F401, PLC0415
    except ImportError as error:
        raise InvalidParameters(
            f"task_runner is 'dask', but {error.name} is not installed: "
            "install echodrop with the extra '.[dask]', or choose 'processes'"
        ) from None
    address = dask.config.get("scheduler-address", None)
    return str(address) if address else None


def started_runner(name: RunnerName, workers: int) -> AbstractContextManager[TaskRunner[Any]]:
    """Return a task runner that converts `workers` files at a time within its `with` block.

    Errors are those of `dask_scheduler`; TransientFault if the scheduler does not answer.
    """
    if name == "processes":
        return ProcessPoolTaskRunner(max_workers=workers)
    if name == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    return _dask(workers)


@contextmanager
def _dask(workers: int) -> Iterator[TaskRunner[Any]]:
    address = dask_scheduler()
    # Imported after the check, which reports a missing package as InvalidParameters.
    from dask.config import set as configured  # noqa: PLC0415
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415

    if address is not None:
        with DaskTaskRunner(address=address) as runner:
            _connect(runner, address)
            yield runner
        return
    local: dict[str, Any] = {
        # By default Dask retries three times a file that kills its process.
        "distributed.scheduler.allowed-failures": 0,
        # One file at a time per process, so that a file that kills it takes no other with it.
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with (
        tempfile.TemporaryDirectory(prefix="echodrop-") as folder,
        configured(local | {"temporary-directory": folder}),
        DaskTaskRunner(
            cluster_kwargs={
                "n_workers": workers,
                "threads_per_worker": 1,
                "processes": True,
                # `workers` was already chosen to fit the memory.
                "memory_limit": 0,
                "dashboard_address": None,
            }
        ) as runner,
    ):
        yield runner


def _connect(runner: Any, address: str) -> None:  # noqa: ANN401 - prefect_dask is optional
    """Connect before the first file, so that a scheduler error is reported as one."""
    try:
        _ = runner.client
    except ValueError as error:
        raise InvalidParameters(f"Dask's scheduler address {address}: {error}") from error
    except OSError as error:
        raise TransientFault(f"Dask's scheduler {address}", f"does not answer: {error}") from error
