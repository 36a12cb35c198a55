"""`echodrop draw`: which outputs a target has, which lack current products, and their runs."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from flows.core.locations import (
    MANIFEST_SUFFIX,
    OUTPUT_SUFFIXES,
    PRODUCTS_SUFFIX,
    S3Location,
    parse_location,
)
from flows.products.jobs.product_jobs import ProductJob, is_current
from operations.catalog.places import Place, place_at
from operations.catalog.reading import folders_below
from operations.clients.connections import prefect_api
from operations.clients.parallel import Progress, in_parallel
from operations.clients.prefect_api import RateLimitedPrefectApi
from operations.clients.prefect_runs import DRAWING_FLOW, UNFINISHED, WITH_TASKS
from operations.console.command_errors import INTERRUPTED, UNAVAILABLE, print_error
from operations.console.options import Json, PrefectRate, Stack, complete_settings
from operations.console.printing import print_json, progress_bar
from operations.findings.output_state import ManifestUnreadableError, manifest_facts

_SUFFIXES = tuple(OUTPUT_SUFFIXES.values())
_MANIFESTS = tuple(suffix + MANIFEST_SUFFIX for suffix in _SUFFIXES)


def outputs_of(target: str, progress: Progress, *, force: bool = False) -> dict[str, bool]:
    """Find the outputs of a target, and whether their products are current, by path or URI.

    A target is an output, or all below a folder or `s3://bucket/prefix/`. Folders are listed, and
    not the stores in them. A record and its manifest are read for each output that has a record;
    with `force` none is.

    Raises:
        ValueError, OSError: it has none, or can't be read.
    """
    whole = target.rstrip("/")
    if whole.endswith(_SUFFIXES):
        folder, _, wanted = whole.rpartition("/")
        place = place_at(f"{folder}/" if folder else ".")
        listings = [place.list("")]
    else:
        place, wanted = place_at(target), ""
        listings = folders_below(place, progress)
    files = {name for each in listings for name in each.files}
    found = (name.removesuffix(MANIFEST_SUFFIX) for name in files if name.endswith(_MANIFESTS))
    outputs = sorted(output for output in found if not wanted or output == wanted)
    if not outputs:
        raise ValueError(
            f"{target}: no complete output there: an output has a manifest, NAME.zarr.manifest.json "
            "or NAME.nc.manifest.json; a prefix in S3 ends in a slash"
        )

    def look(output: str) -> tuple[str, bool]:
        has_record = output + PRODUCTS_SUFFIX in files and not force
        return place.uri + output, has_record and _is_current(place, output)

    return dict(in_parallel(look, outputs))


def _is_current(place: Place, output: str) -> bool:
    record, manifest = (place.open(output + each) for each in (PRODUCTS_SUFFIX, MANIFEST_SUFFIX))
    if record is None or manifest is None:
        return False
    try:
        return is_current(record.read(), manifest_facts(manifest.read()).sha256)
    except ManifestUnreadableError:
        return False


DEPLOYMENT = f"{DRAWING_FLOW}/ecs"
# A run of fifty outputs takes minutes.
HANGS = timedelta(days=1)


def requested_outputs(api: RateLimitedPrefectApi, *, force: bool) -> set[str]:
    """The outputs of runs that have not ended yet; with `force`, only of those that force, too.

    Runs whose task has had its state for a day do not count: such a task hangs, or is gone.
    """
    since = datetime.now(UTC) - HANGS
    return {
        output
        for run in api.runs({"state": {"type": {"any_": list(UNFINISHED)}}}, DRAWING_FLOW)
        if run["state"]["type"] not in WITH_TASKS
        or datetime.fromisoformat(run["state"]["timestamp"]) > since
        if run["parameters"].get("force") or not force
        for output in run["parameters"].get("outputs", [])
    }


def request_runs(
    api: RateLimitedPrefectApi, outputs: Sequence[str], *, together: int, force: bool
) -> Iterator[int]:
    """Request runs of at most `together` outputs; yield the number of outputs of each.

    Raises:
        PrefectUnreachableError: Prefect does not answer, or has no such deployment.
    """
    deployment = api.ask("GET", f"/deployments/name/{DEPLOYMENT}", None)["id"]
    for start in range(0, len(outputs), together):
        batch = list(outputs[start : start + together])
        body = {
            "name": f"{batch[0].rpartition('/')[2]} and {len(batch) - 1} more"[:100],
            "parameters": {"outputs": batch, "force": force},
            # A repeated request returns the same run.
            "idempotency_key": uuid.uuid4().hex,
        }
        api.ask("POST", f"/deployments/{deployment}/create_flow_run", body)
        yield len(batch)


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
    # Whether the products are current, and whether a run makes them.
    found: dict[str, tuple[bool, bool]] = {}
    with progress_bar() as progress:
        for target in targets:
            by_run = is_in_s3(target) and not here
            outputs = outputs_of(target, progress, force=force)
            found |= {output: (current, by_run) for output, current in outputs.items()}
            progress("finding outputs", len(found), None)
    counts["outputs"] = len(found)
    counts["current"] = sum(current for current, _ in found.values())
    ours, theirs = (
        [output for output, which in found.items() if which == (False, by_run)]
        for by_run in (False, True)
    )
    return ours, theirs


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
