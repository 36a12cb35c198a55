"""The commands `echodrop convert` and `echodrop check` at a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from echodrop.conversions import (
    DONE,
    FAILED,
    USAGE,
    WORST,
    Ended,
    Job,
    failed,
    processes_for,
    run,
    run_all,
)
from echodrop.inputs import find_inputs
from echodrop.printing import print_ended, print_failure, print_summary
from echodrop.requests import checked, output_type_of, requested
from flows.core.outcomes import ConversionFailure, TransientFault
from flows.core.run_ends import Outcome
from flows.core.termination import stopped_by_signals
from flows.publishing.recording.quality import alarms, walk_facts
from flows.walk import check_rows, decide

#: The exit code of a command that was ended by Ctrl-C.
INTERRUPTED = 130


def convert_at_terminal(
    raws: Sequence[str],
    out: str,
    fields: dict[str, Any],
    *,
    at_once: int | None = None,
    dry_run: bool = False,
) -> int:
    """Convert files with a progress display; print the outputs' paths, and what went wrong.

    Only paths go to standard output, so that a script can read it.

    Args:
        raws: paths, URLs, folders and prefixes, see `find_inputs`.
        out: a folder, or the output of a single file.
        fields: other arguments of `echodrop.requests.requested`.
        at_once: how many files at the same time; None for what processors and memory allow.
        dry_run: only say what would be done.

    Returns:
        An exit code, the worst of the files': DONE (published, or skipped because it was
            already published), FAILED (invalid file), TRANSIENT (try again), USAGE.
    """
    err = Console(stderr=True, soft_wrap=True)
    try:
        output_type = output_type_of(out, fields.get("output_type"))
        options = dict(fields.get("input_storage_options", {}))
        inputs = find_inputs(raws, out, output_type, options)
    except (ConversionFailure, TransientFault) as failure:
        refused = failed(out, failure)
        print_failure(err, refused)
        return refused.code
    if inputs.sidecars:
        err.print(f"sidecars (.bot, .idx, .xml) among the arguments, not inputs: {inputs.sidecars}")
    fields = {**fields, "output_type": output_type}
    jobs = [Job(each.raw, each.out, fields, each.size) for each in inputs.files]
    if dry_run:
        return _dry_run(jobs)
    at_once = min(at_once or processes_for(jobs), len(jobs))
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn()]
    if len(jobs) > 1:
        columns.append(MofNCompleteColumn())
    progress = Progress(
        *columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    )
    try:
        with stopped_by_signals(), progress:
            if len(jobs) == 1:
                task = progress.add_task("starting", total=1.0)
                one = run(
                    jobs[0],
                    lambda stage, done: progress.update(task, description=stage, completed=done),
                )
                ended = [one]
            else:
                task = progress.add_task(f"converting, {at_once} at a time", total=len(jobs))

                def show(each: Ended) -> None:
                    progress.advance(task)
                    print_ended(err, each)

                ended = run_all(jobs, at_once, show)
    except KeyboardInterrupt:
        err.print("Stopped. What is published stays; the same command converts the rest.")
        return INTERRUPTED
    if len(jobs) == 1:
        print_ended(err, one)
    else:
        print_summary(err, ended)
    return max((each.code for each in ended), key=WORST.index)


def _dry_run(jobs: Sequence[Job]) -> int:
    """Print for each file what a conversion would do."""
    from flows.opened_raw import is_published  # noqa: PLC0415 - xarray and echopype

    def plan(job: Job) -> tuple[str, int]:
        try:
            request = requested(job.raw, job.out, **job.fields)
            known = is_published(request) if not request.overwrite else False
        except (ConversionFailure, TransientFault) as failure:
            return f"would fail: {failure.outcome}: {failure}", failed(job.raw, failure).code
        verb = "already published" if known else "would convert"
        return f"{verb}: {request.source.uri} ({request.sonar_model}) -> {request.output.uri}", DONE

    with ThreadPoolExecutor(8) as pool:
        planned = list(pool.map(plan, jobs))
    for line, _ in planned:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)
    return max((code for _, code in planned), key=WORST.index)


def _print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """A table at a terminal; in a pipe a line for each row, as long as it is."""
    console = Console()
    if not console.is_terminal:
        for label, text in rows:
            console.print(f"{label}: {text}", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)


def check_at_terminal(
    file: str, model: str | None, options: dict[str, Any], *, as_json: bool
) -> int:
    """Walk over a file's datagrams and print a summary.

    Args:
        file: path or URL of the raw file.
        model: its sonar model; None to detect it.
        options: storage options.
        as_json: print the summary and the quality facts as JSON.

    Returns:
        DONE if `convert` would open the file without `--allow-partial`, else FAILED: both ask
            `flows.walk.decide`; USAGE if the file cannot be read.
    """
    err = Console(stderr=True, soft_wrap=True)
    try:
        summary = checked(file, model, options)
    except Outcome as failure:
        print_failure(err, failed(file, failure))
        return USAGE
    facts = [fact.as_json() for fact in walk_facts(summary, name=summary.file)]
    if as_json:
        print(json.dumps({**summary.as_json(), "quality": facts}, indent=1, ensure_ascii=False))  # noqa: T201 - Rich would wrap it
    else:
        _print_rows([*check_rows(summary), *(("quality", sentence) for sentence in alarms(facts))])
    try:
        decide(summary, summary.sonar_model)
    except ConversionFailure as failure:
        print_failure(err, failed(file, failure))
        return FAILED
    return DONE
