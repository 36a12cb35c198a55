"""Where the files of a batch are converted: processes of this task, its threads, or Dask."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.outcomes import InvalidParameters, TransientFault

RunnerName = Literal["processes", "threads", "dask"]


def dask_scheduler() -> str | None:
    """The address of a scheduler that is there already, as Dask itself is told of it.

    `DASK_SCHEDULER_ADDRESS` in the environment, or `scheduler-address` in a
    file of Dask's configuration.

    Raises:
        InvalidParameters: the packages are not installed.
    """
    try:
        import dask  # noqa: PLC0415 - only who asks for Dask pays for it
        import prefect_dask  # noqa: F401, PLC0415
    except ImportError as error:
        raise InvalidParameters(
            f"task_runner is 'dask', but {error.name} is not installed here: "
            "install echodrop with its extra, '.[dask]', or choose 'processes'"
        ) from None
    address = dask.config.get("scheduler-address", None)
    return str(address) if address else None


def started_runner(name: RunnerName, workers: int) -> AbstractContextManager[TaskRunner[Any]]:
    """Return a task runner that converts so many files at once while it is entered.

    A Dask scheduler that is there already has as many at once as it has workers.

    Raises:
        InvalidParameters: Dask is not installed, or its scheduler's address is none.
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
    # After the check: what is missing is told in our words.
    from dask.config import set as configured  # noqa: PLC0415
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415

    if address is not None:
        with DaskTaskRunner(address=address) as runner:
            _connect(runner, address)
            yield runner
        return
    local: dict[str, Any] = {
        # A file that kills its process would kill three more before it is named.
        "distributed.scheduler.allowed-failures": 0,
        # No second file waits in a process, to share the fate of the first.
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
                # How many fit side by side is decided already, by what they need at their peak.
                "memory_limit": 0,
                "dashboard_address": None,
            }
        ) as runner,
    ):
        yield runner


def _connect(runner: Any, address: str) -> None:  # noqa: ANN401 - prefect_dask is there for who asks for it
    """Connect now, not with the first file, so that what is wrong with the scheduler is known as that."""
    try:
        _ = runner.client
    except ValueError as error:
        raise InvalidParameters(f"Dask's scheduler address {address}: {error}") from error
    except OSError as error:
        raise TransientFault(f"Dask's scheduler {address}", f"does not answer: {error}") from error
