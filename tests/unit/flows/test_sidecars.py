"""Sidecars: intact ones are used, damaged ones are named, missing ones that are required fail."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import xarray as xr

from flows.conversion import convert
from flows.core.locations import S3Location
from flows.core.outcomes import BadSidecar, InvalidParameters, MissingSidecar
from flows.core.source_version import SourceVersion
from flows.publishing.publication import Published
from flows.stores import sidecars
from flows.stores.download import TooLargeError, download
from flows.stores.http_source import Beginning
from flows.stores.request import ConversionRequest
from tests import conversions
from tests.damaged_files import datagram_bytes, simrad_datagrams

EK60 = "ek60/D20070724-T042400"


@pytest.fixture
def raw(real_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "D.raw"
    shutil.copyfile(real_data / f"{EK60}.raw", path)
    return path


@pytest.fixture
def bot(real_data: Path) -> bytes:
    return (real_data / f"{EK60}.bot").read_bytes()


def request_for(raw: Path, **changes: Any) -> ConversionRequest:
    return conversions.request_for(raw, raw.parent / "out.zarr", **changes)


def nothing(_: bytes) -> bytes:
    return b""


def cut_inside_a_datagram(bot: bytes) -> bytes:
    return bot[:-20]


def with_a_hole(bot: bytes) -> bytes:
    start, end = (simrad_datagrams(bot)[number].start for number in (10, 12))
    return bot[:start] + bytes(end - start) + bot[end:]


def without_its_configuration(bot: bytes) -> bytes:
    return bot[simrad_datagrams(bot)[1].start :]


def with_more_channels_than_bytes(bot: bytes) -> bytes:
    at = simrad_datagrams(bot)[3].start + 16
    return bot[:at] + b"\x05" + bot[at + 1 :]


def with_a_ping_of_fewer_channels(bot: bytes) -> bytes:
    return bot + datagram_bytes(b"BOT0", b"\x01\0\0\0" + bytes(8))


def a_raw_file(bot: bytes) -> bytes:
    return bot + datagram_bytes(b"RAW0", bytes(100))


DAMAGES: dict[Callable[[bytes], bytes], str] = {
    nothing: "it is empty (0 bytes)",
    cut_inside_a_datagram: "it ends inside a datagram that begins at byte 3776",
    with_a_hole: "no whole datagram at bytes 2320 to 2432",
    without_its_configuration: "it begins with BOT0, not with a configuration",
    with_more_channels_than_bytes: "the BOT0 at byte 1928 is shorter than its content",
    with_a_ping_of_fewer_channels: "its BOT0 have 1 to 4 channels",
    a_raw_file: "it has pings: RAW0 at byte 3832",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_sidecar_is_named_and_may_be_left_out(
    raw: Path, bot: bytes, damage: Callable[[bytes], bytes]
) -> None:
    beside = raw.with_suffix(".bot")
    beside.write_bytes(damage(bot))
    named = {"bot_path": str(beside)}
    with pytest.raises(BadSidecar) as failure:
        convert(request_for(raw, convert_params=named))
    assert str(failure.value) == f"{raw}: sidecar {beside} is damaged: {DAMAGES[damage]}"
    # The report shows that the raw file itself is intact.
    assert failure.value.preflight is not None
    assert failure.value.preflight["condition"] == "intact"
    assert not (raw.parent / "out.zarr").exists()
    done = convert(request_for(raw, convert_params=named, allow_partial=True))
    assert isinstance(done, Published)
    missing = f"sidecar {beside} is left out because it is damaged: {DAMAGES[damage]}"
    assert done.manifest["missing"] == missing
    assert done.manifest["sidecars"] == []
    with xr.open_datatree(done.output, engine="zarr") as tree:
        assert tree["Provenance"].attrs["conversion_missing"] == missing
        assert "detected_seafloor_depth" not in tree["Vendor_specific"]
    # If nobody named it, the raw file is converted without it.
    found = convert(request_for(raw, output_path=str(raw.parent / "found.zarr")))
    assert isinstance(found, Published)
    assert found.manifest["missing"] == missing


def test_a_sidecar_that_is_too_large_is_named_and_may_be_left_out(
    raw: Path, bot: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = raw.with_suffix(".bot")
    beside.write_bytes(bot)
    monkeypatch.setattr(sidecars, "AT_MOST", {**sidecars.AT_MOST, "bot": len(bot) - 1})
    cause = f"it has {len(bot):,} bytes, at most {len(bot) - 1:,} are allowed"
    for named in ({"bot_path": str(beside)}, {"include_bot": True}):
        with pytest.raises(BadSidecar) as failure:
            convert(request_for(raw, convert_params=named))
        assert str(failure.value) == f"{raw}: sidecar {beside} is damaged: {cause}"
    done = convert(request_for(raw))
    assert isinstance(done, Published)
    assert (
        done.manifest["missing"] == f"sidecar {beside} is left out because it is damaged: {cause}"
    )
    monkeypatch.setattr(sidecars, "AT_MOST", {**sidecars.AT_MOST, "bot": len(bot)})
    whole = convert(request_for(raw, overwrite=True))
    assert isinstance(whole, Published)
    assert whole.manifest["missing"] is None


def test_a_settings_xml_that_is_too_large_is_never_left_out(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecars, "AT_MOST", {**sidecars.AT_MOST, "xml": 10})
    wishes = {
        "sonar_model": "AZFP",
        "xml_path": str(real_data / "azfp/15100804.XML"),
        "output_path": str(tmp_path / "o.zarr"),
    }
    with pytest.raises(BadSidecar, match="at most 10 are allowed"):
        convert(request_for(real_data / "azfp/15100520-Test.01A", **wishes, allow_partial=True))


@pytest.mark.parametrize("size", [300_000_000_000, None])
def test_no_more_of_a_sidecar_than_the_limit_reaches_the_disk(
    tmp_path: Path, size: int | None
) -> None:
    class Endless:
        """A file on a server; with unknown size it sends blocks for ever."""

        def begin(self, length: int) -> Beginning:
            return Beginning(size, SourceVersion("e"), None, itertools.repeat(bytes(length)))

        def read(self, start: int, length: int, version: SourceVersion) -> bytes:
            raise AssertionError(f"requested {length} bytes at {start} of {version}")

    target, limit = tmp_path / "raw.bot", 256_000_000
    with pytest.raises(TooLargeError):
        download(cast("Any", Endless()), S3Location("b", "raw.bot"), target, at_most=limit)
    assert not target.exists() or (size is None and target.stat().st_size <= limit)


def test_the_missing_part_of_a_shorter_sidecar_is_reported(raw: Path, bot: bytes) -> None:
    beside = raw.with_suffix(".bot")
    beside.write_bytes(bot[: simrad_datagrams(bot)[31].start])
    done = convert(request_for(raw))
    assert isinstance(done, Published)
    assert done.manifest["missing"] == f"sidecar {beside} has 30 BOT0 for 36 pings"
    with xr.open_datatree(done.output, engine="zarr") as tree:
        assert tree["Vendor_specific"].sizes["ping_time"] == 30
        assert tree["Sonar/Beam_group1"].sizes["ping_time"] == 36


def test_a_whole_sidecar_leaves_nothing_missing(raw: Path, bot: bytes) -> None:
    raw.with_suffix(".bot").write_bytes(bot)
    index = datagram_bytes(b"IDX0", bytes(32))
    raw.with_suffix(".IDX").write_bytes(bot[: simrad_datagrams(bot)[1].start] + 36 * index)
    done = convert(request_for(raw))
    assert isinstance(done, Published)
    assert done.manifest["missing"] is None
    assert [sidecar["kind"] for sidecar in done.manifest["sidecars"]] == ["bot", "idx"]


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda _: b"", "no element found"),
        (lambda xml: xml[: len(xml) // 2], "ParseError"),
        (lambda xml: xml.replace(b"<DS", b"<SD").replace(b"</DS", b"</SD"), "it has no DS"),
        (lambda xml: xml.replace(b"<Minor>7", b"<Minor>seven"), "seven"),
        (lambda _: b"<html><body>Not found</body></html>", "cannot read AZFP settings"),
    ],
)
def test_a_broken_settings_xml_is_not_the_raw_file_s_fault(
    real_data: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], cause: str
) -> None:
    xml = tmp_path / "settings.xml"
    xml.write_bytes(spoil((real_data / "azfp/15100804.XML").read_bytes()))
    raw = real_data / "azfp/15100520-Test.01A"
    wishes = {"sonar_model": "AZFP", "xml_path": str(xml), "output_path": str(tmp_path / "o.zarr")}
    # Without it the data cannot be converted, not even in part.
    with pytest.raises(BadSidecar) as failure:
        convert(request_for(raw, **wishes, allow_partial=True))
    assert str(failure.value).startswith(f"{raw}: sidecar {xml} is damaged: ")
    assert cause in str(failure.value)


def test_a_required_sidecar_must_exist(raw: Path, bot: bytes) -> None:
    wish = {"include_bot": True}
    with pytest.raises(MissingSidecar, match=r"D\.raw: sidecar \.bot is not next to it"):
        convert(request_for(raw, convert_params=wish))
    raw.with_suffix(".bot").write_bytes(bot)
    done = convert(request_for(raw, convert_params=wish))
    assert isinstance(done, Published)
    assert [sidecar["kind"] for sidecar in done.manifest["sidecars"]] == ["bot"]


@pytest.mark.parametrize("wish", [{"bot_path": "/x/a.bot"}, {"include_idx": True}])
def test_a_sidecar_that_the_model_does_not_support_is_refused(
    raw: Path, wish: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameters, match="but AD2CP writes no"):
        request_for(raw, sonar_model="AD2CP", convert_params=wish)
