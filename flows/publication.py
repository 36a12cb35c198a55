"""What a publication is asked to do, and what it comes to, whatever the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.encoded_chunks import EncodedObject
from flows.publish_decision import Content
from flows.request import VerifyMode

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# Beside the output, while a run publishes it.
CLAIM_SUFFIX = ".claim.json"

# Encodes in the codec family given, hands each chunk on, and returns the metadata.
EncodeZarr = Callable[[int, Callable[[EncodedObject], None]], dict[str, bytes]]
# Writes a netCDF file at the path given.
WriteNetcdf = Callable[[Path], None]
# Told the stage and how much of it is done, 0 to 1.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class PublishOrder:
    """One output to publish.

    Attributes:
        content: what it is made from.
        owner: the flow run; it alone may take over its own claim at once.
        overwrite: whether a published output may be replaced.
        manifest_at_start: entity tag of the manifest when the run began.
        echodata: what is encoded, to compare with what is read back.
        encode_zarr: set for Zarr, with `write_netcdf` None; and the other way round.
        describe: completes the manifest, given the entries `output` and
            `verification` and the seconds by stage.
        check_current: raises Superseded where the source is replaced by now.
        release: takes the source out of quarantine; called where the report of an
            earlier failure lies at the output.
        scratch: a folder for temporary files.
    """

    content: Content
    owner: str
    overwrite: bool
    manifest_at_start: str | None
    echodata: EchoData
    encode_zarr: EncodeZarr | None
    write_netcdf: WriteNetcdf | None
    describe: Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, float]], dict[str, Any]]
    check_current: Callable[[], None]
    release: Callable[[], None]
    scratch: Path
    verify: VerifyMode = "sampled"
    progress: Progress = lambda _stage, _fraction: None


@dataclass(frozen=True)
class Published:
    """A complete, verified output."""

    output: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Skipped:
    """Nothing was written, and nothing needed to be."""

    output: str
    reason: str
