"""Task runners for a batch: processes of this task, its threads, or Dask."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.core.outcomes import InvalidParameters, TransientFault

RunnerName = Literal["processes", "threads", "dask"]


def dask_scheduler() -> str | None:
    """The address of a running scheduler, read where Dask itself reads it.

    It is `DASK_SCHEDULER_ADDRESS` in the environment, or `scheduler-address` in a Dask
    configuration file.

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

    A Dask scheduler that is already running uses its own number of workers.

    Raises:
        InvalidParameters: Dask is not installed, or the scheduler's address is invalid.
        TransientFault: the scheduler does not answer.
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
