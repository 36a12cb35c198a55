"""The order and the result of a publication, for every kind of store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.core.progress import Progress, Stopwatch
from flows.encoding.encoded_chunks import EncodedObject
from flows.publishing.publish_decision import Content, PublishedManifest, decide
from flows.stores.request import VerifyMode

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# Encodes in the given codec family, None for a new output, passes on each chunk and the metadata of
# arrays, and returns that of groups.
EncodeZarr = Callable[[int | None, Callable[[EncodedObject], None]], dict[str, bytes]]
# Writes a netCDF file to the given path.
WriteNetcdf = Callable[[Path], None]


@dataclass(frozen=True)
class PublishOrder:
    """One output to publish.

    Attributes:
        owner: the flow run; only it may take over its own claim immediately.
        manifest_at_start: entity tag of the manifest at the start of the run.
        echodata: the encoded data, to compare with the data read back.
        encode_zarr: set for Zarr, else None; `write_netcdf` is set for netCDF.
        describe: makes the manifest from the entries `output` and `verification` and
            the seconds by stage.
        check_current: raises Superseded if the source was replaced in the meantime.
        release: takes the source out of quarantine; called if there is a failure report
            at the output.
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
    watch: Stopwatch = field(default_factory=Stopwatch)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Report the begin of a stage, and count the block's seconds."""
        self.progress(name, 0.0)
        with self.watch.stage(name):
            yield

    def skipped(self, output: str, published: PublishedManifest | None) -> Skipped | None:
        """The result if the content is already published, else None: publish it.

        Raises:
            OutputConflict: see `flows.publishing.publish_decision.decide`.
        """
        decision = decide(
            output,
            self.content,
            overwrite=self.overwrite,
            owner=self.owner,
            at_start=self.manifest_at_start,
            now=published,
        )
        if decision == "publish":
            return None
        manifest = published.manifest if published else None
        return Skipped(output, f"{self.content} is already published", manifest)


@dataclass(frozen=True)
class Published:
    """A complete, verified output."""

    output: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Skipped:
    """Nothing was written, because it was not necessary.

    `manifest` is that of the output if it is published, else None.
    """

    output: str
    reason: str
    manifest: Mapping[str, Any] | None = None

    def close(self) -> None:
        """Do nothing: an opened file has a copy to remove here."""
