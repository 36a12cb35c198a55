"""The Prefect flow that converts many small files in one task.

A task for one small file spends most of its time starting its container, Python,
Prefect and echopype. docs/decisions/warm-lane.md explains why a batch uses processes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from pydantic import PositiveInt

from flows.core.only_warned import only_warned
from flows.core.outcomes import ConversionFailure, InvalidParameters, PartlyFailed, TransientFault
from flows.core.public_uri import public_uri
from flows.publishing.publication import Published, Skipped
from flows.runs.batch.batch_entries import (
    BatchFile,
    BatchParameters,
    batch_files,
    batch_state,
    file_outcome,
    outcome_rows,
)
from flows.runs.batch.isolated_tasks import RunnerName, dask_scheduler, run_isolated
from flows.runs.failed_runs import failed_file, failed_run, forget_outcome
from flows.runs.failure_hooks import REPORTING
from flows.runs.run_products import make_products_of
from flows.runs.run_progress import ProgressArtifact, show_manifest
from flows.runs.run_states import CONVERTING, completed_state, out_of_memory, this_run
from flows.runs.task_resources import task_resources, worker_count
from flows.runs.time_limit import source_bytes, time_limit, time_limited
from flows.stores.request import ConversionRequest
from task_sizes import peak_bytes, usable_bytes

# Parallel requests for the files' sizes.
_SIZES_AT_ONCE = 16


@task(
    name="Convert File",
    task_run_name="{name}",
    **CONVERTING,
)
def convert_file(name: str, request: ConversionRequest | InvalidParameters) -> State[Any]:
    """Convert one file of a batch; the state is the one that its own run would end in."""
    from flows.conversion import open_raw, save  # noqa: PLC0415 - the run itself does not need echopype

    try:
        if isinstance(request, InvalidParameters):
            raise request
        with (
            ProgressArtifact(name) as progress,
            closing(open_raw(request, progress)) as opened,
        ):
            saved = opened if isinstance(opened, Skipped) else save(opened, progress)
    except (ConversionFailure, TransientFault) as failure:
        return failed_file(failure, getattr(request, "raw_file", None))
    except MemoryError as error:
        # Ends as if its process had died: the batch continues, and the file gets its own run.
        return out_of_memory(error)
    if isinstance(saved, Published):
        show_manifest(saved.manifest)
    return completed_state(saved)


@flow(name="convert-raw-sonar-batch", **REPORTING)
def convert_raw_sonar_batch(
    files: list[dict[str, Any]],
    max_workers: PositiveInt | None = None,
    task_runner: RunnerName = "processes",
) -> list[dict[str, Any]]:
    """Convert many small raw files to verified outputs in one task.

    Each file is a task run with the file's name and its own state (one of those of
    `convert_raw_sonar`), claim and manifest. The run ends Completed if every file ended
    Completed or Skipped; else Failed with the outcome PartlyFailed or AllFailed. The table
    `batch` and `files` in the failure list each file and its outcome. A second run
    skips published files.

    Args:
        files: for each file the parameters of `convert_raw_sonar` except
            `pause_above_bytes`, and the `identity` that its own run would have. A file with
            an identity is skipped if this version of it is published, unless `forced` is true.
        max_workers: the most files converted in parallel; processors and memory of the
            task may allow fewer. A Dask scheduler that is already running uses its own
            number.
        task_runner: `processes` of this task, its `threads`, or `dask`: processes of a
            local cluster, or the workers of the scheduler at DASK_SCHEDULER_ADDRESS.
            The outcomes are the same; docs/decisions/warm-lane.md describes the differences.

    Returns:
        For each file: name, raw_file, sonar_model, output, completed, outcome, message, facts.
    """
    # Must come first: `locals()` has only the parameters here.
    given = dict(locals())
    forget_outcome()
    logger = get_run_logger()
    try:
        checked = BatchParameters(**given)
        batch = batch_files(checked.files, this_run())
        sizes = _sizes(batch)
        workers = _workers(sizes, checked.max_workers, task_runner)
        logger.info("%s files with %s, %s in parallel", len(batch), task_runner, workers)
        limit = time_limit([size for _, size in sizes])
        with time_limited(convert_raw_sonar_batch, limit):
            states = run_isolated(
                convert_file,
                [{"name": file.name, "request": file.request} for file in batch],
                workers,
                task_runner,
            )
    except (InvalidParameters, TransientFault) as failure:
        return failed_run(failure)  # type: ignore[return-value]  # Prefect takes a state for its data
    outcomes = [file_outcome(file, state) for file, state in zip(batch, states, strict=True)]
    with only_warned(get_run_logger, "artifact not created"):
        create_table_artifact(outcome_rows(outcomes), key="batch", description="Files by outcome")
    state = batch_state(outcomes)
    if isinstance(state.data, PartlyFailed):
        # Logged and tagged before products take their time.
        state = failed_run(state.data)
    completed = {file["output"] for file in outcomes if file["completed"]}
    make_products_of([request for request, _ in sizes if request.output.uri in completed])
    return state  # type: ignore[return-value]  # Prefect takes a state for its data


def _sizes(batch: list[BatchFile]) -> list[tuple[ConversionRequest, int | None]]:
    requests = [file.request for file in batch if isinstance(file.request, ConversionRequest)]
    with ThreadPoolExecutor(_SIZES_AT_ONCE) as pool:
        return list(zip(requests, pool.map(source_bytes, requests), strict=True))


def _workers(
    sizes: list[tuple[ConversionRequest, int | None]],
    max_workers: int | None,
    task_runner: RunnerName,
) -> int:
    if task_runner == "dask" and dask_scheduler() is not None:
        # Its workers run on other machines.
        return max(1, len(sizes))
    resources = task_resources()
    # A file of unknown size counts as the largest that may come.
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
                public_uri(request.raw_file),
                peak // 10**6,
            )
    return worker_count(peaks, resources, max_workers=max_workers)
