"""The whole trip of one file as plain Python: fetch, check, parse, encode, publish, verify.

The Prefect flow runs `open_raw` and `save` as its two tasks; the command line
and everybody else call `convert`.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flows import local_publishing, preflight, quarantine, s3_publishing
from flows.chunking import ChunksNotUsableError
from flows.contents import contents_of
from flows.locations import LocalLocation, Location, S3Location
from flows.manifest import build_manifest, described_sidecars, described_source
from flows.netcdf_encoding import write_netcdf
from flows.object_store import ObjectStore
from flows.outcomes import (
    BadFile,
    ConversionFailure,
    InvalidParameters,
    SourceChanged,
    Superseded,
)
from flows.preflight.summary import FileSummary
from flows.publication import Progress, Published, PublishOrder, Skipped
from flows.publish_decision import Content, decide
from flows.publish_decision import Published as PublishedBefore
from flows.raw_opening import open_raw_file
from flows.request import ConversionRequest
from flows.s3_client import s3_client
from flows.sidecars import FetchedSidecar, fetch_sidecar, named_sidecars, sidecars_beside
from flows.source import FetchedFile, check_unchanged, current_source, fetch
from flows.stopwatch import Stopwatch
from flows.swap import MemoryPlan, SwapFolder, memory_plan, swap_removed
from flows.task_resources import task_resources, usable_bytes
from flows.termination import stopped_by_sigterm
from flows.transient_faults import retrying
from flows.zarr_encoding import encode_zarr

if TYPE_CHECKING:
    from echopype.echodata import EchoData

T = TypeVar("T")

# Over two minutes in all: a claim left by a killed run expires within one.
ATTEMPTS = 8
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0


@dataclass
class OpenedRaw:
    """A parsed raw file with all that the manifest will say of it.

    Whoever opened it removes what was swapped for it: `flows.swap.swap_removed`.
    """

    request: ConversionRequest
    echodata: EchoData
    source: FetchedFile
    sidecars: list[FetchedSidecar]
    preflight: dict[str, Any]
    missing: str | None
    parser_warnings: list[str]
    manifest_at_start: str | None
    memory: MemoryPlan
    swap: SwapFolder | None
    seconds: dict[str, float]

    @property
    def content(self) -> Content:
        """What the output will be made from."""
        return Content(
            self.source.location.uri,
            self.source.version,
            {sidecar.file.location.uri: sidecar.file.version.etag for sidecar in self.sidecars},
            notified=self.request.wanted is not None,
        )


def convert(request: ConversionRequest, progress: Progress | None = None) -> Published | Skipped:
    """Convert one raw file into a published, verified output.

    Raises:
        ConversionFailure: one of its subclasses, with the facts.
        TransientFault: the store or another run stood in the way for minutes.
    """
    tell = progress or (lambda _stage, _fraction: None)
    with (
        stopped_by_sigterm(),
        swap_removed(_patiently(lambda: open_raw(request, tell))) as opened,
    ):
        return opened if isinstance(opened, Skipped) else _patiently(lambda: save(opened, tell))


def _patiently(step: Callable[[], T]) -> T:
    return retrying(step, attempts=ATTEMPTS, base=FIRST_WAIT_SECONDS, longest=LONGEST_WAIT_SECONDS)


def open_raw(request: ConversionRequest, progress: Progress) -> OpenedRaw | Skipped:
    """Fetch, walk and parse a raw file with its sidecars; none of them stays on disk.

    Raises:
        ConversionFailure: BadFile, WrongModel, MissingSidecar, UnsupportedDatagram,
            SourceChanged, AccessDenied; OutputConflict where that is known already;
            OutputMismatch where the parser lost pings.
    """
    watch = Stopwatch()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="echodrop-") as folder,
            ThreadPoolExecutor(1) as pool,
        ):
            known = pool.submit(_published, request)
            if not request.overwrite:
                # Ask before fetching: most of a batch that is run again is there.
                published = known.result()
                if published is not None and _is_wanted(request, published):
                    return Skipped(request.output.uri, f"{request.raw_file} is already published")
            with watch.stage("fetch"):
                source, sidecars = _fetch_all(request, Path(folder), progress)
            return _parse(
                request, source, sidecars, published=known.result(), watch=watch, progress=progress
            )
    except Superseded as superseded:
        return Skipped(request.output.uri, str(superseded))


def _published(request: ConversionRequest) -> PublishedBefore | None:
    output = request.output
    if isinstance(output, LocalLocation):
        return local_publishing.read_published(output)
    return s3_publishing.read_published(_output_store(request, output), output)


def _output_store(request: ConversionRequest, output: S3Location) -> ObjectStore:
    return ObjectStore(s3_client(dict(request.output_storage_options)), output.bucket)


def _is_wanted(request: ConversionRequest, published: PublishedBefore) -> bool:
    """Whether the source as it is now has been published; a conflict is raised."""
    now = current_source(request.source, dict(request.input_storage_options))
    if now is None:
        # Gone: fetching says so.
        return False
    version = now.version
    if request.wanted is not None and version.differs_from(request.wanted):
        raise Superseded(request.raw_file, str(request.wanted), str(version))
    content = Content(request.source.uri, version, dict(request.sidecar_etags))
    decision = decide(
        request.output.uri,
        content,
        overwrite=False,
        owner=request.owner,
        at_start=published.etag,
        now=published,
    )
    return decision == "skip"


def _fetch_all(
    request: ConversionRequest, folder: Path, progress: Progress
) -> tuple[FetchedFile, list[FetchedSidecar]]:
    """The raw file and its sidecars side by side; the listing while the raw file comes."""
    raw, options = request.source, dict(request.input_storage_options)
    target = folder / raw.name
    named = named_sidecars(
        raw, request.sonar_model, request.xml_path, request.given_sidecars, request.sidecar_etags
    )
    with ThreadPoolExecutor(3, thread_name_prefix="sidecars") as pool:
        beside = pool.submit(sidecars_beside, raw, request.sonar_model, options)
        bring = functools.partial(fetch_sidecar, raw=raw, raw_target=target, options=options)
        coming = [
            pool.submit(bring, sidecar) for sidecar in named if sidecar.kind not in request.left_out
        ]
        source = _fetch_raw(request, raw, target, options, progress)
        known = {sidecar.kind for sidecar in named} | request.left_out
        coming += [
            pool.submit(bring, found) for found in beside.result() if found.kind not in known
        ]
        return source, [sidecar.result() for sidecar in coming]


def _fetch_raw(
    request: ConversionRequest,
    raw: Location,
    target: Path,
    options: dict[str, Any],
    progress: Progress,
) -> FetchedFile:
    def tell(done: int, total: int | None) -> None:
        progress("fetch", done / total if total else 0.0)

    progress("fetch", 0.0)
    try:
        return fetch(raw, target, options, wanted=request.wanted, on_bytes=tell)
    except FileNotFoundError as error:
        if request.wanted is not None:
            raise SourceChanged(raw.uri, str(request.wanted), "nothing: it was removed") from error
        raise BadFile(raw.uri, "there is no such file") from error


def _parse(
    request: ConversionRequest,
    source: FetchedFile,
    sidecars: list[FetchedSidecar],
    *,
    published: PublishedBefore | None,
    watch: Stopwatch,
    progress: Progress,
) -> OpenedRaw:
    uri = source.location.uri
    with watch.stage("preflight"):
        progress("preflight", 0.0)
        # Messages name the file as its owner knows it, not its local copy.
        summary = replace(preflight.preflight(source.path, request.sonar_model), file=uri)
        with _telling_of(summary):
            preflight.decide(summary, request.sonar_model, allow_partial=request.allow_partial)
        missing = summary.damage or (summary.unsupported.cause if summary.unsupported else None)
        if missing is not None:
            whole = source.path.with_name(f"{source.path.name}.whole")
            preflight.write_whole_part(source.path, summary, whole)
            whole.replace(source.path)
    memory = memory_plan(
        request.sonar_model, source.size, usable_bytes(task_resources()), use_swap=request.use_swap
    )
    with watch.stage("open"), _telling_of(summary), contextlib.ExitStack() as unless_opened:
        progress("open", 0.0)
        swap = SwapFolder() if memory.swap else None
        if swap is not None:
            unless_opened.callback(swap.close)
        echodata, warnings = open_raw_file(
            source.path, request.sonar_model, sidecars, request.parser_params, uri, swap=swap
        )
        preflight.compare_pings(echodata, summary)
        check_unchanged(source)
        unless_opened.pop_all()
    if missing is not None:
        provenance = echodata["Provenance"]
        echodata["Provenance"] = provenance.assign_attrs(conversion_missing=missing)
    return OpenedRaw(
        request=request,
        echodata=echodata,
        source=source,
        sidecars=sidecars,
        preflight=summary.as_json(),
        missing=missing,
        parser_warnings=warnings,
        manifest_at_start=published.etag if published else None,
        memory=memory,
        swap=swap,
        seconds=watch.seconds,
    )


@contextlib.contextmanager
def _telling_of(summary: FileSummary) -> Iterator[None]:
    """Let a failure carry what the walk has found, for its report."""
    try:
        yield
    except ConversionFailure as failure:
        failure.preflight = summary.as_json()
        raise


def save(opened: OpenedRaw, progress: Progress) -> Published | Skipped:
    """Encode, publish and verify a parsed file.

    Raises:
        ConversionFailure: OutputConflict, OutputMismatch, AccessDenied.
        TransientFault: OutputClaimed, ClaimLost, or what the store said.
    """
    request, output = opened.request, opened.request.output
    with tempfile.TemporaryDirectory(prefix="echodrop-") as folder:
        order = _order(opened, Path(folder), progress)
        try:
            if isinstance(output, LocalLocation):
                return local_publishing.publish_to_folder(output, order)
            return s3_publishing.publish_to_s3(_output_store(request, output), output, order)
        except Superseded as superseded:
            return Skipped(output.uri, str(superseded))


def _order(opened: OpenedRaw, scratch: Path, progress: Progress) -> PublishOrder:
    request, echodata = opened.request, opened.echodata

    def encode(codec_family: int) -> dict[str, bytes]:
        try:
            return encode_zarr(
                echodata,
                compact=request.compact,
                chunks=request.chunks,
                zarr_format=request.zarr_format,
                codec_family=codec_family,
            )
        except ChunksNotUsableError as error:
            raise InvalidParameters(f"chunks {request.chunks}: {error}") from error

    is_zarr = request.output_type == "zarr"
    return PublishOrder(
        content=opened.content,
        owner=request.owner,
        overwrite=request.overwrite,
        manifest_at_start=opened.manifest_at_start,
        echodata=echodata,
        encode_zarr=encode if is_zarr else None,
        write_netcdf=None
        if is_zarr
        else functools.partial(write_netcdf, echodata, compact=request.compact),
        describe=functools.partial(_manifest, opened),
        check_current=functools.partial(_check_current, opened),
        release=functools.partial(
            quarantine.release,
            opened.source.location,
            request.input_storage_options,
            opened.source.version,
        ),
        scratch=scratch,
        verify=request.verify,
        progress=progress,
    )


def _check_current(opened: OpenedRaw) -> None:
    """Raise Superseded where a newer upload has replaced what was notified.

    Asked for by hand, without a version, a file is converted as it was read. One
    that is gone by now was uploaded all the same.
    """
    request, options = opened.request, dict(opened.request.input_storage_options)
    if request.wanted is None:
        return
    pinned = [opened.source] + [
        sidecar.file
        for sidecar in opened.sidecars
        if sidecar.file.location.uri in request.sidecar_etags
    ]
    with ThreadPoolExecutor(len(pinned)) as pool:
        found = pool.map(lambda file: current_source(file.location, options), pinned)
        for file, now in zip(pinned, found, strict=True):
            if now is not None and now.version.differs_from(file.version):
                raise Superseded(file.location.uri, str(file.version), str(now.version))


def _manifest(
    opened: OpenedRaw,
    output: Mapping[str, Any],
    verification: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    request = opened.request
    is_zarr = request.output_type == "zarr"
    return build_manifest(
        source=described_source(opened.source),
        sidecars=described_sidecars(opened.sidecars),
        sonar={"model": request.sonar_model, "found_by": request.sonar_model_source},
        preflight=opened.preflight,
        output={
            "uri": request.output.uri,
            "type": request.output_type,
            "zarr_format": request.zarr_format if is_zarr else None,
            "compact": request.compact,
            **output,
        },
        contents=contents_of(opened.echodata),
        missing=opened.missing,
        verification=verification,
        run={
            "owner": request.owner,
            "flow_run_id": None,
            "flow_run_url": None,
            "tier": None,
            "enlarged": None,
            "image": None,
            **request.run,
        },
        memory=opened.memory.as_json(),
        parser_warnings=opened.parser_warnings,
        timings={**opened.seconds, **seconds},
    )
