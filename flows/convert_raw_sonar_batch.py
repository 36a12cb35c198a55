"""The Prefect flow that converts many small files in one task.

A task for each small file is mostly start-up: of its container, of Python, of
Prefect, of echopype. docs/decisions/warm-lane.md says why in processes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from pydantic import PositiveInt

from flows.batch_entries import BatchFile, batch_files
from flows.batch_outcomes import batch_state, file_outcome, outcome_rows
from flows.batch_runners import RunnerName, dask_scheduler
from flows.batch_workers import worker_count
from flows.closing import closed
from flows.failure_hooks import report_failure
from flows.flow_parameters import checked_parameters
from flows.isolated_tasks import run_isolated
from flows.out_of_memory import out_of_memory
from flows.outcomes import ConversionFailure, InvalidParameters, TransientFault
from flows.publication import Published, Skipped
from flows.request import ConversionRequest
from flows.run_artifacts import show_manifest
from flows.run_progress import ProgressArtifact
from flows.run_states import RETRYING, completed_state, failed_state, this_run
from flows.task_resources import task_resources
from flows.time_limit import ended_in_time, source_bytes, time_limit
from task_sizes import peak_bytes, usable_bytes

# Requests at once that ask for the files' sizes.
_SIZES_AT_ONCE = 16


@task(
    name="Convert File",
    task_run_name="{name}",
    persist_result=False,
    cache_policy=NO_CACHE,
    **RETRYING,
)
def convert_file(name: str, asked: ConversionRequest | InvalidParameters) -> State[Any]:
    """Convert one file of a batch; the state is named as a run of its own would end."""
    from flows.conversion import open_raw, save  # noqa: PLC0415 - the run itself does without echopype

    try:
        if isinstance(asked, InvalidParameters):
            raise asked
        with (
            ProgressArtifact(name) as progress,
            closed(open_raw(asked, progress)) as opened,
        ):
            saved = opened if isinstance(opened, Skipped) else save(opened, progress)
    except (ConversionFailure, TransientFault) as failure:
        get_run_logger().error("%s: %s", failure.outcome, failure)
        return failed_state(failure)
    except MemoryError as error:
        # As if its process had died: the batch goes on, and the file gets a run of its own.
        return out_of_memory(error)
    if isinstance(saved, Published):
        show_manifest(saved.manifest)
    return completed_state(saved)


@flow(
    name="convert-raw-sonar-batch",
    persist_result=False,
    # The body does, and names the outcome.
    validate_parameters=False,
    on_failure=[report_failure],
    on_crashed=[report_failure],
)
def convert_raw_sonar_batch(
    files: list[dict[str, Any]],
    max_workers: PositiveInt | None = None,
    task_runner: RunnerName = "processes",
) -> list[dict[str, Any]]:
    """Convert many small raw files to verified outputs, each by itself, in one task.

    Each file is a task run named after it, with its own state (those of
    `convert_raw_sonar`), claim and manifest. The run ends Completed when every
    file ended Completed or Skipped; else Failed, named PartlyFailed or
    AllFailed, with the table `batch` naming each file and its outcome, and
    `files` in the failure. Run again, it skips what is published.

    Args:
        files: of each file the parameters of `convert_raw_sonar`, but for
            `pause_above_bytes`, and the `identity` that a run of its own would have.
        max_workers: files converted at once, at most; processors and memory
            of the task may allow less. A Dask scheduler that is there already has its own number.
        task_runner: `processes` of this task, its `threads`, or `dask`: processes of a
            local cluster, or the workers of the scheduler at DASK_SCHEDULER_ADDRESS.
            The outcomes are the same; docs/decisions/warm-lane.md says what differs.

    Returns:
        Of each file: name, raw_file, sonar_model, output, completed, outcome, message, facts.
    """
    # Before anything else is local: the parameters, as they were given.
    given = dict(locals())
    logger = get_run_logger()
    try:
        checked = checked_parameters(convert_raw_sonar_batch.fn, given)
        batch = batch_files(checked["files"], this_run())
        sizes = _sizes(batch)
        workers = _workers(sizes, checked["max_workers"], task_runner)
        logger.info("%s files by %s, %s at once", len(batch), task_runner, workers)
        limit = time_limit([size for _, size in sizes])
        with ended_in_time(convert_raw_sonar_batch, limit):
            states = run_isolated(
                convert_file,
                [{"name": file.name, "asked": file.asked} for file in batch],
                workers,
                task_runner,
            )
    except (InvalidParameters, TransientFault) as failure:
        # TRY400: the outcome says it; a traceback of this code tells nothing more.
        logger.error("%s: %s", failure.outcome, failure)  # noqa: TRY400
        return failed_state(failure)  # type: ignore[return-value]  # Prefect takes a state for its data
    outcomes = [file_outcome(file, state) for file, state in zip(batch, states, strict=True)]
    _show(outcomes)
    return batch_state(outcomes)  # type: ignore[return-value]  # Prefect takes a state for its data


def _sizes(batch: list[BatchFile]) -> list[tuple[ConversionRequest, int | None]]:
    asked = [file.asked for file in batch if isinstance(file.asked, ConversionRequest)]
    with ThreadPoolExecutor(_SIZES_AT_ONCE) as pool:
        return list(zip(asked, pool.map(source_bytes, asked), strict=True))


def _workers(
    sizes: list[tuple[ConversionRequest, int | None]],
    max_workers: int | None,
    task_runner: RunnerName,
) -> int:
    if task_runner == "dask" and dask_scheduler() is not None:
        # Its workers are on machines of their own.
        return max(1, len(sizes))
    resources = task_resources()
    # One of unknown size is taken for as large as the largest.
    largest = max((size for _, size in sizes if size is not None), default=0)
    usable = usable_bytes(resources.memory)
    peaks = [
        peak_bytes(request.sonar_model, largest if size is None else size)
        for request, size in sizes
    ]
    for (request, _), peak in zip(sizes, peaks, strict=True):
        if peak > usable:
            get_run_logger().warning(
                "%s: may need %s MB of memory, more than this task has",
                request.raw_file,
                peak // 10**6,
            )
    return worker_count(peaks, resources, max_workers=max_workers)


def _show(outcomes: list[dict[str, Any]]) -> None:
    """Put the outcomes into the UI; a server that refuses them does not undo conversions."""
    try:
        create_table_artifact(outcome_rows(outcomes), key="batch", description="Files by outcome")
    # BLE001: the outputs are published and verified, whatever the UI comes to show.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("artifact not shown: %s", error)
