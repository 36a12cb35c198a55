from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.locations import (
    VIEWER_SUFFIX,
    HttpLocation,
    LocalLocation,
    S3Location,
    converted_name,
    output_location,
    parse_location,
)
from lambda_trigger.decisions.inbox_rules import VIEWER_STORE


@given(st.text(min_size=1).filter(lambda key: not key.startswith("/")))
def test_an_object_key_stays_as_it_is(key: str) -> None:
    location = parse_location(f"s3://bucket/{key}")
    assert location == S3Location("bucket", key)
    assert location.uri == f"s3://bucket/{key}"


def test_http_and_local_places_are_known_and_others_refused() -> None:
    assert parse_location("https://host/a/b%20c.raw?x=1").name == "b c.raw"
    assert parse_location("-1519.raw") == LocalLocation(Path("-1519.raw").absolute())
    for wrong in ("", "gs://bucket/key", "s3:///key"):
        with pytest.raises(ValueError, match=r".+"):
            parse_location(wrong)


def test_a_sibling_keeps_folder_and_query() -> None:
    assert S3Location("b", "x/y.raw").sibling("y.bot") == S3Location("b", "x/y.bot")
    assert S3Location("b", "y.raw").sibling("y.bot") == S3Location("b", "y.bot")
    assert HttpLocation("http://h/x/y.raw?t=1").sibling("y.bot").url == "http://h/x/y.bot?t=1"


@pytest.mark.parametrize(
    ("raw", "zarr"),
    [
        ("D2007.raw", "D2007.zarr"),
        ("D2007.RAW", "D2007.zarr"),
        ("a.b.ad2cp", "a.b.zarr"),
        # Two files of one stem.
        ("15100520.01A", "15100520.01A.zarr"),
        ("15100520.01B", "15100520.01B.zarr"),
    ],
)
def test_two_raw_files_never_share_an_output(raw: str, zarr: str) -> None:
    assert converted_name(raw, "zarr") == zarr


def test_an_output_path_is_the_output_or_its_folder() -> None:
    assert output_location("s3://b/x.zarr", "r.raw", "zarr") == S3Location("b", "x.zarr")
    assert output_location("s3://b/x/", "r.raw", "netcdf") == S3Location("b", "x/r.nc")
    assert output_location("s3://b", "r.raw", "zarr") == S3Location("b", "r.zarr")
    assert output_location("/x", "r.raw", "zarr") == LocalLocation(Path("/x/r.zarr"))
    with pytest.raises(ValueError, match=r"ends in \.nc, but output_type is zarr"):
        output_location("/x.nc", "r.raw", "zarr")
    with pytest.raises(ValueError, match="cannot be written to"):
        output_location("https://h/x", "r.raw", "zarr")


@pytest.mark.parametrize("of", ["r.zarr", "r.nc"])
def test_no_output_has_the_name_of_another_s_viewer_store(of: str) -> None:
    taken = f"{of}{VIEWER_SUFFIX}"
    with pytest.raises(ValueError, match=f"the viewer store of {of}"):
        output_location("s3://b/x/", f"{of}.echogram.raw", "zarr")
    with pytest.raises(ValueError, match=f"the viewer store of {of}"):
        output_location(f"/x/{taken}", "r.raw", "zarr")
    # The trigger, which cannot import it, rejects such an upload.
    assert VIEWER_STORE.search(taken)
    assert not VIEWER_STORE.search(f"r{VIEWER_SUFFIX}")
    assert output_location("/x", "echogram.raw", "zarr").name == "echogram.zarr"


def test_a_name_with_a_slash_does_not_lead_out_of_the_folder() -> None:
    location = parse_location("https://host/a/..%2F..%2Fevil.raw")
    with pytest.raises(ValueError, match=r"'\.\./\.\./evil\.raw' has a '/'"):
        output_location("/data/out", location.name, "zarr")
