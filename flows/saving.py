"""Saves a parsed file as a verified output: encode, publish, read back, write the manifest."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.core.locations import parse_location
from flows.core.outcomes import InvalidParameters, Superseded
from flows.core.progress import Progress
from flows.encoding.chunking import ChunksNotUsableError
from flows.encoding.encoded_chunks import EncodedObject
from flows.encoding.netcdf_encoding import write_netcdf
from flows.encoding.zarr_encoding import stream_zarr
from flows.failures import quarantine
from flows.opened_raw import OpenedRaw
from flows.publishing.contents import contents_of
from flows.publishing.manifest import build_manifest, described_source
from flows.publishing.outputs import output_at
from flows.publishing.publication import Published, PublishOrder, Skipped
from flows.stores.download import check_unchanged
from flows.stores.errors import named_ends
from flows.stores.sources import current_source

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# The manifest's entries of a conversion without a flow run.
_NO_RUN = dict.fromkeys(("flow_run_id", "flow_run_url", "tier", "enlarged", "image"))
# A disk with less free space than this counts as full.
_ROOM_BYTES = 16 * 1024 * 1024


def save(opened: OpenedRaw, progress: Progress) -> Published | Skipped:
    """Encode, publish and verify a parsed file.

    Raises:
        ConversionFailure: OutputConflict, OutputMismatch, AccessDenied, DiskFault.
        TransientFault: OutputClaimed, ClaimLost, or a fault of the store.
    """
    request, output = opened.request, opened.request.output
    with (
        named_ends(output.uri, writes=True),
        tempfile.TemporaryDirectory(prefix="echodrop-") as folder,
    ):
        order = publish_order(opened, Path(folder), progress)
        try:
            return output_at(output, request.output_storage_options).publish(order)
        except Superseded as superseded:
            return Skipped(output.uri, str(superseded))


def publish_order(opened: OpenedRaw, scratch: Path, progress: Progress) -> PublishOrder:
    """The publish order for this file; `scratch` is an empty folder for it."""
    request, echodata = opened.request, opened.echodata

    def encode(codec_family: int | None, put: Callable[[EncodedObject], None]) -> dict[str, bytes]:
        try:
            return stream_zarr(
                echodata,
                put,
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
        else functools.partial(_write_netcdf, echodata, compact=request.compact),
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


def _write_netcdf(echodata: EchoData, path: Path, *, compact: bool) -> None:
    try:
        write_netcdf(echodata, path, compact=compact)
    except RuntimeError:
        # The library reports a full disk only as "HDF error", so check the disk itself.
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(bytes(_ROOM_BYTES))
        raise


def _check_current(opened: OpenedRaw) -> None:
    """Raise Superseded if a newer upload has replaced the notified version.

    Without a notified version, the version that was read is converted. A file that was
    deleted in the meantime is still converted.
    """
    # Samples of a local file are read from the file itself, not from a copy.
    check_unchanged(opened.source)
    request, options = opened.request, opened.request.input_storage_options
    if request.wanted is None:
        return
    notified = {parse_location(uri) for uri in request.sidecar_etags}
    pinned = [opened.source] + [
        sidecar.file for sidecar in opened.sidecars if sidecar.file.location in notified
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
    return build_manifest(
        source=described_source(opened.source),
        sidecars=[
            {"kind": sidecar.kind, **described_source(sidecar.file)} for sidecar in opened.sidecars
        ],
        sonar={"model": request.sonar_model, "found_by": request.sonar_model_source},
        output={
            "uri": request.output.uri,
            "type": request.output_type,
            "zarr_format": request.zarr_format if request.output_type == "zarr" else None,
            "compact": request.compact,
            **output,
        },
        contents=contents_of(opened.echodata),
        verification=verification,
        run={"owner": request.owner, **_NO_RUN, **request.run},
        **opened.recorded,
        timings={stage: round(spent, 4) for stage, spent in {**opened.seconds, **seconds}.items()},
    )
