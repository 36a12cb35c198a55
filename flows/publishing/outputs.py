"""The place of an output, by the scheme of its URI: a bucket or a folder of this machine."""

from __future__ import annotations

from typing import Any

from flows.core.locations import OutputLocation, S3Location
from flows.publishing.local_publishing import FolderOutput
from flows.publishing.s3_publishing import S3Output
from flows.stores.s3_client import store_of

Output = S3Output | FolderOutput


def output_at(location: OutputLocation, options: dict[str, Any]) -> Output:
    """The output at a location; `options` are the storage options of its place."""
    if isinstance(location, S3Location):
        return S3Output(store_of(location, options), location)
    return FolderOutput(location)
