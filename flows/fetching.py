"""Bring a raw file and its sidecars to a local folder, side by side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flows.locations import Location
from flows.outcomes import BadFile, BadSidecar, MissingSidecar, SourceChanged
from flows.publication import Progress
from flows.request import ConversionRequest
from flows.sidecars import (
    FetchedSidecar,
    fetch_sidecar,
    left_out,
    named_sidecars,
    sidecars_beside,
)
from flows.source import FetchedFile, fetch


@dataclass(frozen=True)
class Inputs:
    """What was fetched, and sentences on what could not be looked for and on what was left out."""

    source: FetchedFile
    sidecars: Sequence[FetchedSidecar]
    notes: Sequence[str]
    without: Sequence[str] = ()


def fetch_inputs(request: ConversionRequest, folder: Path, progress: Progress) -> Inputs:
    """The raw file and its sidecars; those beside it are looked for while the raw file comes.

    Raises:
        BadFile: there is no such file.
        SourceChanged: it went away, or was replaced while it was read.
        Superseded: file or sidecar is of another version than was notified.
        BadSidecar: one is too large to be one, and may not be left out.
        MissingSidecar: one that is needed, named or told to be included is not there.
        AccessDenied, Archived, TransientFault, DiskFault: as they are named.
    """
    raw, options = request.source, dict(request.input_storage_options)
    # A name of our own: a key may be longer than a local name, and hold what
    # echopype takes for a protocol (`::`). It goes by the suffix alone.
    target = folder / f"raw{PurePosixPath(raw.name).suffix[:16]}"
    named = named_sidecars(
        raw, request.sonar_model, request.xml_path, request.given_sidecars, request.sidecar_etags
    )
    with ThreadPoolExecutor(3, thread_name_prefix="sidecars") as pool:
        beside = pool.submit(sidecars_beside, raw, request.sonar_model, options)
        bring = functools.partial(fetch_sidecar, raw=raw, raw_target=target, options=options)
        coming = [
            pool.submit(bring, sidecar) for sidecar in named if sidecar.kind not in request.left_out
        ]
        source = _fetch_raw(request, raw, target, progress)
        known = {sidecar.kind for sidecar in named} | request.left_out
        looked = beside.result()
        there = [sidecar for sidecar in looked.sidecars if sidecar.kind not in known]
        coming += [pool.submit(bring, sidecar) for sidecar in there]
        for kind in sorted(request.called_for - known - {sidecar.kind for sidecar in there}):
            raise MissingSidecar(
                raw.uri, f".{kind}", f"is not beside it ({'; '.join(looked.notes) or 'looked for'})"
            )
        fetched, without = _all_or_without(coming, allow_partial=request.allow_partial)
        return Inputs(source, fetched, looked.notes, without)


def _all_or_without(
    coming: Sequence[Future[FetchedSidecar]], *, allow_partial: bool
) -> tuple[list[FetchedSidecar], list[str]]:
    fetched, without = [], []
    for sidecar in coming:
        try:
            fetched.append(sidecar.result())
        except BadSidecar as bad:
            # A settings XML is never left out: nothing can be made without it.
            if not allow_partial or not bad.sidecar.lower().endswith((".bot", ".idx")):
                raise
            without.append(left_out(bad.sidecar, bad.cause))
    return fetched, without


def _fetch_raw(
    request: ConversionRequest, raw: Location, target: Path, progress: Progress
) -> FetchedFile:
    def tell(done: int, total: int | None) -> None:
        progress("fetch", done / total if total else 0.0)

    progress("fetch", 0.0)
    options = dict(request.input_storage_options)
    try:
        return fetch(raw, target, options, wanted=request.wanted, on_bytes=tell)
    except FileNotFoundError as error:
        if request.wanted is not None:
            raise SourceChanged(raw.uri, str(request.wanted), "nothing: it was removed") from error
        raise BadFile(raw.uri, "there is no such file") from error
