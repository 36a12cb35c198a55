"""Downloads a raw file and its sidecars into one local folder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from flows.core.locations import Location, parse_location
from flows.core.outcomes import (
    AccessDenied,
    Archived,
    BadFile,
    BadSidecar,
    MissingSidecar,
    SourceChanged,
)
from flows.core.progress import Progress
from flows.core.source_version import SourceVersion
from flows.stores.download import FetchedFile, fetch
from flows.stores.request import ConversionRequest
from flows.stores.sidecars import (
    KINDS,
    FetchedSidecar,
    Kind,
    Sidecar,
    fetch_sidecar,
    find_sidecars,
    left_out_sentence,
)
from sonar_models import SONAR_MODELS


@dataclass(frozen=True)
class Inputs:
    """The fetched files, with notes on sidecars that could not be looked for or were left out."""

    source: FetchedFile
    sidecars: Sequence[FetchedSidecar]
    notes: Sequence[str]
    without: Sequence[str] = ()


def fetch_inputs(request: ConversionRequest, folder: Path, progress: Progress) -> Inputs:
    """Fetch the raw file and its sidecars; sidecars next to it are looked for during the download.

    Raises:
        BadFile: the file does not exist.
        SourceChanged: it was removed or replaced during the download.
        Superseded: file or sidecar has another version than in the notification.
        BadSidecar: a named sidecar is too large, and may not be left out.
        MissingSidecar: a sidecar that is needed, named or required does not exist.
        AccessDenied, Archived, TransientFault, DiskFault: see `flows.core.outcomes`.
    """
    raw, options = request.source, request.input_storage_options
    # A fixed name: a key may be longer than a local name, or contain `::`, which echopype takes for
    # a protocol. echopype only uses the suffix.
    target = folder / f"raw{PurePosixPath(raw.name).suffix[:16]}"
    named = [each for each in _named(request) if each.kind not in request.excluded_sidecars]
    with ThreadPoolExecutor(3, thread_name_prefix="sidecars") as pool:
        beside = pool.submit(find_sidecars, raw, request.sonar_model, options)
        bring = functools.partial(fetch_sidecar, raw=raw, raw_target=target, options=options)
        coming = [pool.submit(bring, sidecar) for sidecar in named]
        source = _fetch_raw(request, raw, target, progress)
        known = {sidecar.kind for sidecar in named} | request.excluded_sidecars
        beside_it, notes = beside.result()
        there = [
            replace(sidecar, named=sidecar.kind in request.required_sidecars)
            for sidecar in beside_it
            if sidecar.kind not in known
        ]
        found = [pool.submit(bring, sidecar) for sidecar in there]
        for kind in sorted(request.required_sidecars - known - {sidecar.kind for sidecar in there}):
            raise MissingSidecar(
                raw.uri, f".{kind}", f"is not next to it ({'; '.join(notes) or 'not found'})"
            )
        fetched, without = _collect_sidecars(
            [*zip(named, coming, strict=True), *zip(there, found, strict=True)],
            allow_partial=request.allow_partial,
        )
        return Inputs(source, fetched, notes, without)


def _named(request: ConversionRequest) -> list[Sidecar]:
    """The sidecars that the caller named: by role, or by their notified entity tags."""
    model = SONAR_MODELS[request.sonar_model]
    tags = {parse_location(uri): etag for uri, etag in request.sidecar_etags.items()}
    suffixes = {place: PurePosixPath(place.name).suffix.lower() for place in tags}
    named: dict[Kind, Location] = {
        kind: place for kind in KINDS for place, suffix in suffixes.items() if suffix == f".{kind}"
    }
    if request.xml_path:
        named["xml"] = parse_location(request.xml_path)
    named.update({kind: parse_location(uri) for kind, uri in request.given_sidecars.items()})
    if model.needs_xml and "xml" not in named:
        cause = f"is required for {request.sonar_model}, and none is named"
        raise MissingSidecar(request.source.uri, "settings XML", cause)
    return [
        Sidecar(kind, place, SourceVersion(tags[place]) if place in tags else None)
        for kind, place in named.items()
        if (model.needs_xml if kind == "xml" else model.takes_bot_and_idx)
    ]


def _collect_sidecars(
    coming: Sequence[tuple[Sidecar, Future[FetchedSidecar]]], *, allow_partial: bool
) -> tuple[list[FetchedSidecar], list[str]]:
    fetched, without = [], []
    for wanted, sidecar in coming:
        uri = wanted.location.uri
        try:
            fetched.append(sidecar.result())
        except BadSidecar as bad:
            # A settings XML is never left out, because the file cannot be converted without it.
            if wanted.kind == "xml" or (wanted.named and not allow_partial):
                raise
            without.append(left_out_sentence(uri, bad.cause))
        except (AccessDenied, Archived, MissingSidecar) as unread:
            if wanted.named:
                raise
            without.append(left_out_sentence(uri, unread.cause, "cannot be read"))
    return fetched, without


def _fetch_raw(
    request: ConversionRequest, raw: Location, target: Path, progress: Progress
) -> FetchedFile:
    def report_bytes(done: int, total: int | None) -> None:
        progress("fetch", done / total if total else 0.0)

    progress("fetch", 0.0)
    options = request.input_storage_options
    try:
        return fetch(raw, target, options, wanted=request.wanted, on_bytes=report_bytes)
    except FileNotFoundError as error:
        if request.wanted is not None:
            raise SourceChanged(raw.uri, str(request.wanted), "nothing: it was removed") from error
        raise BadFile(raw.uri, "the file does not exist") from error
