"""Opens a raw file: fetch, walk over the datagrams, parse, and compare pings."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import walk
from flows.core.outcomes import ConversionFailure, Superseded
from flows.core.progress import Progress, Stopwatch
from flows.core.public_uri import public_uri
from flows.corrected_values import correct_values
from flows.publishing.outputs import output_at
from flows.publishing.publication import Skipped
from flows.publishing.publish_decision import Content, PublishedManifest, decide
from flows.publishing.recording.parsed_facts import recording_facts
from flows.publishing.recording.quality import walk_facts
from flows.rawfile.azfp.missing import azfp_corrections, missing_of_azfp
from flows.rawfile.echopype_reader import open_raw_file
from flows.rawfile.engine import open_file
from flows.rawfile.parsed_pings import compare_pings
from flows.rawfile.sidecars.check import check_sidecars
from flows.rawfile.sidecars.groups import add_sidecars
from flows.stores.download import FetchedFile, check_unchanged
from flows.stores.errors import named_ends
from flows.stores.fetching import Inputs, fetch_inputs
from flows.stores.request import ConversionRequest
from flows.stores.sidecars import FetchedSidecar
from flows.stores.sources import current_source
from flows.walk.summary import FileSummary

if TYPE_CHECKING:
    from echopype.echodata import EchoData


@dataclass
class OpenedRaw:
    """A parsed raw file with everything for its manifest, of which it has `recorded` some entries.

    Until `close`, its samples are read from the local copy of the raw file.
    """

    request: ConversionRequest
    echodata: EchoData
    source: FetchedFile
    sidecars: list[FetchedSidecar]
    recorded: dict[str, Any]
    manifest_at_start: str | None
    seconds: dict[str, float]
    resources: contextlib.ExitStack

    def close(self) -> None:
        """Remove the local copy; the samples can no longer be read."""
        self.resources.close()

    @property
    def content(self) -> Content:
        """The sources that the output is made from."""
        return Content(
            self.source.location.uri,
            self.source.version,
            {sidecar.file.location.uri: sidecar.file.version.etag for sidecar in self.sidecars},
            notified=self.request.wanted is not None,
        )


def open_raw(request: ConversionRequest, progress: Progress) -> OpenedRaw | Skipped:
    """Fetch, walk and parse a raw file with its sidecars.

    The fetched files stay on the disk until the result's `close`.

    Raises:
        ConversionFailure: BadFile, WrongModel, MissingSidecar, BadSidecar,
            UnsupportedDatagram, SourceChanged, AccessDenied, Archived, DiskFault;
            OutputConflict if that is already known; OutputMismatch if the parser lost
            pings.
        TransientFault: a store did not answer.
    """
    watch = Stopwatch()
    try:
        with (
            named_ends(request.raw_file),
            contextlib.ExitStack() as resources,
            ThreadPoolExecutor(1) as pool,
        ):
            folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="echodrop-"))
            known = pool.submit(_published, request)
            if not request.overwrite or request.skip_published:
                # Check before fetching: after a rerun of a batch most files are already published.
                published = known.result()
                if published is not None and _is_up_to_date(request, published):
                    reason = f"{public_uri(request.raw_file)} is already published"
                    return Skipped(request.output.uri, reason, published.manifest)
            with watch.stage("fetch"):
                inputs = fetch_inputs(request, Path(folder), progress)
            opened = _parse(
                request, inputs, resources, published=known.result(), watch=watch, progress=progress
            )
            opened.resources = resources.pop_all()
            return opened
    except Superseded as superseded:
        return Skipped(request.output.uri, str(superseded))


def is_published(request: ConversionRequest) -> bool:
    """Whether `open_raw` would skip the file, because its current version is already published.

    Raises:
        OutputConflict: the output was published from another source.
        AccessDenied, TransientFault: the store's answer.
    """
    with named_ends(request.raw_file):
        published = _published(request)
        return published is not None and _is_up_to_date(request, published)


def _published(request: ConversionRequest) -> PublishedManifest | None:
    with named_ends(request.output.uri):
        return output_at(request.output, request.output_storage_options).published()


def _is_up_to_date(request: ConversionRequest, published: PublishedManifest) -> bool:
    """Whether the current version of the source is already published; raises on a conflict."""
    now = current_source(request.source, request.input_storage_options)
    if now is None:
        # Missing: the fetch reports it.
        return False
    version = now.version
    if request.wanted is not None and version.differs_from(request.wanted):
        raise Superseded(public_uri(request.raw_file), str(request.wanted), str(version))
    sidecars = {public_uri(uri): etag for uri, etag in request.sidecar_etags.items()}
    content = Content(request.source.uri, version, sidecars)
    if request.overwrite:
        return Content.of_manifest(published.manifest).includes(content)
    decision = decide(
        request.output.uri,
        content,
        overwrite=False,
        owner=request.owner,
        at_start=published.etag,
        now=published,
    )
    return decision == "skip"


def _parse(
    request: ConversionRequest,
    inputs: Inputs,
    resources: contextlib.ExitStack,
    *,
    published: PublishedManifest | None,
    watch: Stopwatch,
    progress: Progress,
) -> OpenedRaw:
    source, uri = inputs.source, inputs.source.location.uri
    with watch.stage("preflight"):
        progress("preflight", 0.0)
        # Messages use the file's URI, not its local copy.
        summary = replace(walk.preflight(source.path, request.sonar_model), file=uri)
        with _with_preflight(summary):
            walk.decide(summary, request.sonar_model, allow_partial=request.allow_partial)
            checked = check_sidecars(inputs.sidecars, summary, allow_partial=request.allow_partial)
            sidecars = checked.fetched
    with watch.stage("open"), _with_preflight(summary):
        progress("open", 0.0)

        xml = next((sidecar.file for sidecar in sidecars if sidecar.kind == "xml"), None)
        opened = open_file(
            source.path,
            summary,
            lambda path: open_raw_file(path, request.sonar_model, xml, request.metadata, uri),
        )
        resources.callback(opened.close)
        echodata = opened.echodata
        compare_pings(echodata, summary)
        moved = add_sidecars(echodata, checked.used)
        corrections, not_kept = correct_values(
            echodata, opened.facts, wanted=request.corrections, keep=request.metadata
        )
        check_unchanged(source)
    quality = [
        *walk_facts(summary, name=source.location.name, lost=checked.lost),
        *recording_facts(echodata, summary),
    ]
    lacking = [
        *summary.missing,
        *inputs.without,
        *checked.lacking,
        *missing_of_azfp(echodata, source.path, summary, sidecars),
        *not_kept,
    ]
    missing = "; ".join(lacking) or None
    corrections += [*moved, *azfp_corrections(echodata, summary)]
    notes = {
        "conversion_missing": missing,
        "conversion_corrections": "; ".join(map(str, corrections)),
        "conversion_repairs": "; ".join(map(str, opened.repairs)),
    }
    if any(notes.values()):
        provenance = echodata["Provenance"]
        echodata["Provenance"] = provenance.assign_attrs({k: v for k, v in notes.items() if v})
    return OpenedRaw(
        request=request,
        echodata=echodata,
        source=source,
        sidecars=sidecars,
        recorded={
            "preflight": checked.summary.as_json(),
            "missing": missing,
            "engine": asdict(opened.engine),
            "corrections": list(map(asdict, corrections)),
            "quality": [fact.as_json() for fact in quality],
            "not_converted": [entry.as_json() for entry in summary.not_converted],
            "repairs": list(map(asdict, opened.repairs)),
            "parser_warnings": [*inputs.notes, *opened.warnings],
        },
        manifest_at_start=published.etag if published else None,
        seconds=watch.seconds,
        resources=resources,
    )


@contextlib.contextmanager
def _with_preflight(summary: FileSummary) -> Iterator[None]:
    """Add the result of the walk to a failure, for its report."""
    try:
        yield
    except ConversionFailure as failure:
        failure.preflight = failure.preflight or summary.as_json()
        raise
