"""The two codec families of Zarr outputs: a chunk of one never decodes with metadata of the other.

An overwrite takes the family that the published store does not have, so that
whoever still holds the old metadata gets an error where a chunk is new; see
docs/decisions/zarr-layout.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from flows.zarr_layers import CONSOLIDATED_ROOT


def codec_family_of(root_metadata: bytes) -> int:
    """The codec family a store was written with: 0 blosc, 1 blosc inside a zstd frame.

    root_metadata: the root `zarr.json` (format 3) or `.zmetadata` (format 2),
    consolidated. A store without arrays counts as family 0. Raises ValueError
    for JSON without consolidated metadata, which echodrop never publishes.
    """
    root = json.loads(root_metadata)
    documents = root.get("consolidated_metadata", root).get("metadata")
    if documents is None:
        raise ValueError("the root metadata holds no consolidated metadata")
    for document in documents.values():
        if "codecs" in document:
            return int(document["codecs"][-1]["name"] == "zstd")
        if "compressor" in document:
            return int((document["compressor"] or {}).get("id") == "zstd")
    return 0


def family_unlike(read: Callable[[str], bytes | None]) -> int | None:
    """The codec family that no reader of the store there can decode, None where no store opens.

    read: the body of a key relative to the store's root, None where there is no such object.
    """
    for name in CONSOLIDATED_ROOT.values():
        body = read(name)
        if body is not None:
            try:
                return 1 - codec_family_of(body)
            except (ValueError, LookupError, TypeError, AttributeError):
                # Not a store of ours; any family differs from it or is as good.
                return 1
    return None
