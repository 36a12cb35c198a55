"""Which outputs a target of `echodrop draw` has, which of them lack current products, and their runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.core.locations import MANIFEST_SUFFIX, OUTPUT_SUFFIXES, PRODUCTS_SUFFIX
from flows.products.jobs.product_jobs import is_current
from operations.catalog.places import Place, place_at
from operations.catalog.reading import folders_below
from operations.clients.parallel import in_parallel
from operations.clients.prefect_api import RateLimitedPrefectApi
from operations.clients.prefect_health import DRAWING_FLOW
from operations.clients.prefect_runs import UNFINISHED, WITH_TASKS
from operations.findings.output_state import ManifestUnreadableError, manifest_facts
from operations.inventory.stock_taking import Progress

_SUFFIXES = tuple(OUTPUT_SUFFIXES.values())
_MANIFESTS = tuple(suffix + MANIFEST_SUFFIX for suffix in _SUFFIXES)


class TargetError(ValueError):
    """A target is not an output, and has no outputs below it."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target}: no complete output there: an output has a manifest, NAME.zarr.manifest.json "
            "or NAME.nc.manifest.json; a prefix in S3 ends in a slash"
        )


@dataclass(frozen=True)
class FoundOutput:
    """A complete output: its path or URI, and whether its products are current."""

    output: str
    is_current: bool


def outputs_of(target: str, progress: Progress, *, force: bool = False) -> list[FoundOutput]:
    """Find the outputs of a target: an output, or all below a folder or `s3://bucket/prefix/`.

    Folders are listed, and not the stores in them. A record and its manifest are read for
    each output that has a record; with `force` none is.

    Raises:
        TargetError: it has none.
        ValueError, OSError, ClientError: it can't be read.
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
    outputs = sorted(
        name.removesuffix(MANIFEST_SUFFIX) for name in files if name.endswith(_MANIFESTS)
    )
    if wanted:
        outputs = [output for output in outputs if output == wanted]
    if not outputs:
        raise TargetError(target)

    def look(output: str) -> FoundOutput:
        has_record = output + PRODUCTS_SUFFIX in files and not force
        return FoundOutput(place.uri + output, has_record and _is_current(place, output))

    return list(in_parallel(look, outputs))


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
    unfinished = api.runs({"state": {"type": {"any_": list(UNFINISHED)}}}, DRAWING_FLOW)
    since = datetime.now(UTC) - HANGS
    parameters: Iterator[dict[str, Any]] = (
        run["parameters"]
        for run in unfinished
        if run["state"]["type"] not in WITH_TASKS
        or datetime.fromisoformat(run["state"]["timestamp"]) > since
    )
    return {
        output
        for each in parameters
        if each.get("force") or not force
        for output in each.get("outputs", [])
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
