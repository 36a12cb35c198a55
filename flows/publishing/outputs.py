"""The place of an output, by the scheme of its URI: a bucket or a folder of this machine."""

from __future__ import annotations

from typing import Any, Protocol

from flows.core.locations import OutputLocation, S3Location
from flows.publishing.local_publishing import FolderOutput
from flows.publishing.publication import Published, PublishOrder, Skipped
from flows.publishing.publish_decision import PublishedManifest
from flows.publishing.s3_publishing import S3Output
from flows.stores.s3_client import store_of


class Output(Protocol):
    """An output in one place."""

    def published(self) -> PublishedManifest | None:
        """Its manifest; None if it is not valid or the output does not exist."""
        ...

    def publish(self, order: PublishOrder) -> Published | Skipped:
        """Publish it, or skip it if it is already published.

        Raises:
            OutputClaimed: another live run is publishing it; a later retry may succeed.
            OutputConflict: it was published from another source and `overwrite` is off.
            OutputMismatch: the data read back differs from the data encoded.
            Superseded: the source was replaced in the meantime.
        """
        ...


def output_at(location: OutputLocation, options: dict[str, Any]) -> Output:
    """The output at a location; `options` are the storage options of its place."""
    if isinstance(location, S3Location):
        return S3Output(store_of(location, options), location)
    return FolderOutput(location)
