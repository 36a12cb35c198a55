"""The commands `echodrop convert` and `echodrop check` at a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import typer
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
from echodrop.system_commands import Model
from flows.core.outcomes import ConversionFailure, TransientFault
from flows.core.run_ends import Outcome
from flows.core.termination import stopped_by_signals
from flows.publishing.recording.quality import alarms, walk_facts
from flows.walk import check_rows, decide

#: The exit code of a command that was ended by Ctrl-C.
INTERRUPTED = 130


Anonymous = Annotated[
    bool, typer.Option("--anon", help="Read a public bucket without credentials.")
]


def _options(*, anonymous: bool) -> dict[str, Any]:
    return {"anon": True} if anonymous else {}


def convert(
    raw: Annotated[
        list[str],
        typer.Argument(help="Paths, folders, s3://bucket/key, s3://bucket/prefix/, http(s) URLs."),
    ],
    out: Annotated[str, typer.Argument(help="A folder, or a path that ends in .zarr or .nc.")],
    *,
    model: Model = None,
    xml: Annotated[str | None, typer.Option(help="The settings XML of AZFP files.")] = None,
    output_type: Annotated[
        Literal["zarr", "netcdf"] | None,
        typer.Option(
            "--type", case_sensitive=False, help="Default: from the ending of OUT, otherwise zarr."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
    anonymous: Anonymous = False,
    partial: Annotated[
        bool, typer.Option("--allow-partial", help="Convert the intact part of a damaged file.")
    ] = False,
    platform: Annotated[str | None, typer.Option(help="Name of the ship or platform.")] = None,
    survey: Annotated[str | None, typer.Option(help="Name of the survey.")] = None,
    water_level: Annotated[
        float | None,
        typer.Option(help="Distance of the water level from the platform's origin, in m."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Files at the same time. Default: by processors and memory; single S3 objects and URLs one by one.",
            min=1,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done.")
    ] = False,
    verify: Annotated[
        Literal["sampled", "full"],
        typer.Option(case_sensitive=False, help="How much of the output to verify."),
    ] = "sampled",
    zarr_format: Annotated[int, typer.Option(help="Zarr format, 2 or 3.", min=2, max=3)] = 3,
    corrections: Annotated[
        bool,
        typer.Option(help="Take the file's values where echopype changes or drops them, or not."),
    ] = True,
    compact: Annotated[
        bool, typer.Option(help="Compress losslessly, or write as echopype does.")
    ] = True,
) -> int:
    """Convert raw files and verify the outputs, without a server.

    A folder stands for the raw files below it. What is published already is skipped, so the same
    command continues after an interruption.

    Exit code 0: every output is published, wholly or in part, or already existed; 1: a file
    cannot be converted; 2: invalid arguments; 3: a temporary error, retry.
    """
    err = Console(stderr=True, soft_wrap=True)
    try:
        chosen = output_type_of(out, output_type)
        fields = {
            "model": model,
            "output_type": chosen,
            "xml_path": xml,
            "convert_params": {
                "platform_name": platform,
                "survey_name": survey,
                "water_level": water_level,
            },
            "input_storage_options": _options(anonymous=anonymous),
            "overwrite": overwrite,
            "allow_partial": partial,
            "verify": verify,
            "zarr_format": zarr_format,
            "corrections": corrections,
            "compact": compact,
        }
        found, sidecars = find_inputs(raw, out, chosen, fields)
    except (ConversionFailure, TransientFault) as failure:
        refused = failed(out, failure)
        print_failure(err, refused)
        return refused.code
    if sidecars:
        err.print(f"sidecars (.bot, .idx, .xml) among the arguments, not inputs: {sidecars}")
    if dry_run:
        return _dry_run(found)
    at_once = min(jobs or processes_for(found), len(found))
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn()]
    if len(found) > 1:
        columns.append(MofNCompleteColumn())
    progress = Progress(
        *columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    )
    try:
        with stopped_by_signals(), progress:
            if len(found) == 1:
                task = progress.add_task("starting", total=1.0)
                one = run(
                    found[0],
                    lambda stage, done: progress.update(task, description=stage, completed=done),
                )
                ended = [one]
            else:
                task = progress.add_task(f"converting, {at_once} at a time", total=len(found))

                def show(each: Ended) -> None:
                    progress.advance(task)
                    print_ended(err, each)

                ended = run_all(found, at_once, show)
    except KeyboardInterrupt:
        err.print("Stopped. What is published stays; the same command converts the rest.")
        return INTERRUPTED
    if len(found) == 1:
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


def check(
    file: Annotated[str, typer.Argument(help="A path, s3://bucket/key or http(s) URL.")],
    *,
    model: Model = None,
    anonymous: Anonymous = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check a raw file's datagrams: whether it is intact, its pings and its lost bytes.

    Exit code 0: `convert` would take it; 1: it is damaged; 2: it cannot be read.
    """
    err = Console(stderr=True, soft_wrap=True)
    try:
        summary = checked(file, model, _options(anonymous=anonymous))
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
