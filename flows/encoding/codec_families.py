"""The two codec families of Zarr outputs: a chunk of one never decodes with metadata of the other.

An overwrite uses the family that the published store does not have. A reader that still
has the old metadata then gets an error from a new chunk; see
docs/decisions/zarr-layout.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from flows.encoding.zarr_layers import CONSOLIDATED_ROOT


def codec_family_of(root_metadata: bytes) -> int:
    """The codec family a store was written with: 0 blosc, 1 blosc inside a zstd frame.

    root_metadata: the root `zarr.json` (format 3) or `.zmetadata` (format 2),
    consolidated. A store without arrays has family 0. Raises ValueError
    for JSON without consolidated metadata, which echodrop never publishes.
    """
    root = json.loads(root_metadata)
    documents = root.get("consolidated_metadata", root).get("metadata")
    if documents is None:
        raise ValueError("the root metadata has no consolidated metadata")
    for document in documents.values():
        if "codecs" in document:
            return int(document["codecs"][-1]["name"] == "zstd")
        if "compressor" in document:
            return int((document["compressor"] or {}).get("id") == "zstd")
    return 0


def family_unlike(read: Callable[[str], bytes | None]) -> int | None:
    """The codec family that readers of this store cannot decode; None if no store can be opened.

    read: returns the body of a key relative to the store's root, None if it does not exist.
    """
    for name in CONSOLIDATED_ROOT.values():
        body = read(name)
        if body is not None:
            try:
                return 1 - codec_family_of(body)
            except (ValueError, LookupError, TypeError, AttributeError):
                # Not one of our stores: either family will do.
                return 1
    return None
