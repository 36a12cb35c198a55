"""`echodrop draw` at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console

from flows.core.locations import S3Location, parse_location
from flows.products.jobs.product_jobs import ProductJob
from operations.clients.connections import prefect_api
from operations.console.command_errors import INTERRUPTED, UNAVAILABLE, print_error
from operations.console.options import Json, PrefectRate, Stack, complete_settings
from operations.console.printing import print_json, progress_bar
from operations.draw.targets import FoundOutput, outputs_of, request_runs, requested_outputs

# Outputs in a run: a task takes a minute to start, and a few seconds for each output.
TOGETHER = 50
_SHOWN = 10


def is_in_s3(target: str) -> bool:
    """Whether a target is in S3.

    Raises:
        ValueError: it is neither there nor on this machine.
    """
    return isinstance(parse_location(target), S3Location)


def draw(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET…", help="An output, a folder, s3://output/key or s3://output/prefix/."
        ),
    ],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also outputs whose products are current.")
    ] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Make those in S3 on this machine, not in runs.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be made.")
    ] = False,
    together: Annotated[int, typer.Option(help="Outputs in a run.", min=1, max=500)] = TOGETHER,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    as_json: Json = False,
) -> int:
    """Make the echogram, thumbnail and viewer store of outputs that lack current ones.

    Outputs on this machine are drawn here, those in S3 by runs in the backfill lane.
    Exit code 0: all is made, current or requested; 1: something could not be made; 2: a
    target is wrong, or a service did not answer.
    """
    counts = Counter[str]()
    failures: list[str] = []
    try:
        if any(map(is_in_s3, targets)) and not here and not dry_run:
            complete_settings(stack, prefect_rate, PREFECT_API_URL=None)
        ours, theirs = _wanted(targets, counts, force=force, here=here)
        if dry_run:
            counts["to make here"] = len(ours)
            counts["to request"] = len(theirs)
        else:
            _request(theirs, counts, together=together, force=force)
            _make(ours, counts, failures, force=force)
    except KeyboardInterrupt:
        _print(counts, [*failures, "interrupted; the next call makes the others"], as_json=as_json)
        return INTERRUPTED
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)
    _print(counts, failures, as_json=as_json)
    return 1 if failures else 0


def _wanted(
    targets: Sequence[str], counts: Counter[str], *, force: bool, here: bool
) -> tuple[list[str], list[str]]:
    """The outputs to make here, and those to request runs for."""
    found: dict[str, tuple[FoundOutput, bool]] = {}
    with progress_bar() as progress:
        for target in targets:
            by_run = is_in_s3(target) and not here
            outputs = outputs_of(target, progress, force=force)
            found |= {each.output: (each, by_run) for each in outputs}
            progress("finding outputs", len(found), None)
    counts["outputs"] = len(found)
    counts["current"] = sum(each.is_current for each, _ in found.values())
    wanted = [(each.output, by_run) for each, by_run in found.values() if not each.is_current]
    return (
        [output for output, by_run in wanted if not by_run],
        [output for output, by_run in wanted if by_run],
    )


def _request(outputs: Sequence[str], counts: Counter[str], *, together: int, force: bool) -> None:
    if not outputs:
        return
    api = prefect_api()
    already = requested_outputs(api, force=force)
    left = [output for output in outputs if output not in already]
    counts["requested before"] = len(outputs) - len(left)
    with progress_bar() as progress:
        for number in request_runs(api, left, together=together, force=force):
            counts["requested"] += number
            counts["runs"] += 1
            progress("requested", counts["requested"], len(left))


def _make(
    outputs: Sequence[str], counts: Counter[str], failures: list[str], *, force: bool
) -> None:
    from flows.products.jobs.in_child import make_in_child  # noqa: PLC0415 - requesting runs needs less

    jobs = [ProductJob(output, force=force) for output in outputs]
    with progress_bar() as progress, closing(make_in_child(jobs)) as made:
        progress("making", 0, len(jobs))
        for number, result in enumerate(made, start=1):
            progress("making", number, len(jobs))
            counts[result.state] += 1
            if result.error:
                failures.append(f"{result.output}: {result.error}")


def _print(counts: Counter[str], failures: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json({**counts, "failures": list(failures)})
        return
    console = Console()
    line = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    console.print(line or "nothing found", highlight=False)
    for failure in failures[:_SHOWN]:
        console.print(f"not made: {failure}", style="red", markup=False, highlight=False)
    if len(failures) > _SHOWN:
        console.print(f"… and {len(failures) - _SHOWN:,} more", highlight=False)
