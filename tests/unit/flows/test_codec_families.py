from __future__ import annotations

import pytest

from flows.encoding.codec_families import family_unlike


def root(codec: str) -> bytes:
    array = f'{{"node_type": "array", "codecs": [{{"name": "bytes"}}, {{"name": "{codec}"}}]}}'
    return f'{{"consolidated_metadata": {{"metadata": {{"a": {array}}}}}}}'.encode()


@pytest.mark.parametrize(
    ("there", "family"),
    [
        ({}, None),
        ({"zarr.json": root("blosc")}, 1),
        ({"zarr.json": root("zstd")}, 0),
        ({".zmetadata": b'{"metadata": {"a/.zarray": {"compressor": {"id": "zstd"}}}}'}, 0),
        ({".zmetadata": b'{"metadata": {"a/.zarray": {"compressor": null}}}'}, 1),
        ({".zgroup": b"{}"}, None),
    ],
)
def test_an_overwrite_takes_the_family_that_is_not_there(
    there: dict[str, bytes], family: int | None
) -> None:
    assert family_unlike(there.get) == family


@pytest.mark.parametrize(
    "foreign", [b"", b"no JSON", b"[]", b"{}", b'{"consolidated_metadata": null}']
)
def test_a_root_that_is_not_ours_is_no_obstacle(foreign: bytes) -> None:
    assert family_unlike({"zarr.json": foreign}.get) == 1
