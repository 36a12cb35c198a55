"""The account: each field is in the output where the table says, or the manifest says why not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import xarray as xr

from flows.walk import account, preflight
from flows.walk.account import ACCOUNT, AFTER_ALL_PINGS, Row, accounts, reasons
from flows.walk.ad2cp import KINDS
from flows.walk.asl.azfp6 import FIELDS
from flows.walk.simrad.walk import SHORTEST
from sonar_models import FORMATS
from tests.conversions import converted
from tests.damaged_files import EK60, EK80, datagram_bytes, simrad_datagrams
from tests.unit.preflight.test_simrad_rarities import ADCP

TIME = 128_297_246_406_888_251


def test_every_format_has_an_account() -> None:
    assert set(accounts()) == {format_.name for format_ in FORMATS}


def test_every_line_of_a_table_is_a_row_of_its_formats() -> None:
    sections = ACCOUNT.read_text("utf-8").split("\n## ")[1:]
    rows = {section.partition("\n")[0]: section.count("\n| ") - 1 for section in sections}
    for format_, found in accounts().items():
        assert len(found) == sum(n for names, n in rows.items() if format_ in names.split(", "))


def test_a_type_that_a_walk_names_by_itself_has_a_reason() -> None:
    of_simrad = {account.UNTIMED, account.MISDATED}
    of_ek80 = {account.XML_OTHER, account.ADCP_PINGS, account.SAME_FILTER, account.WITHOUT_PING}
    of_ek80 |= {account.FILTER_OF_NO_CHANNEL, AFTER_ALL_PINGS}
    assert of_simrad <= reasons("EK60").keys()
    assert of_simrad | of_ek80 <= reasons("EK80").keys()
    assert account.SAME_TIME in reasons("AD2CP")


@pytest.mark.parametrize("format_", accounts())
def test_a_row_has_either_a_place_or_a_reason(format_: str) -> None:
    rows = accounts()[format_]
    assert all((row.place is None) != (row.why is None) for row in rows)
    assert all(row.why for row in rows if row.named)
    assert len({(row.type, row.fields) for row in rows}) == len(rows)


def test_every_type_that_a_walk_knows_has_a_row() -> None:
    for format_ in ("EK60", "EK80"):
        types = {row.type.split()[0] for row in accounts()[format_]}
        assert {type_.decode() for type_ in SHORTEST} <= types
    named = " ".join(row.type for row in accounts()["AD2CP"])
    # Records that only have fields that every record has.
    common = {"burst altimeter", "altimeter", "average altimeter", "interleaved burst"}
    assert all(kind in named for kind in set(KINDS.values()) - common)
    fields = ", ".join(row.fields for row in accounts()["AZFP6"])
    hidden = {"serial number", "date", "number of sensors", "sensor status", "ancillary"}
    assert all(field in fields for field in set(FIELDS) - hidden)


REAL = [
    ("ek60/D20070724-T042400.raw", "EK60", None),
    ("ek80/EK80_-D20221108-T151353.raw", "EK80", None),
    ("ek80/2917763601822576513.raw", "EK80", None),
    ("azfp/15100520-Test.01A", "AZFP", "azfp/15100804.XML"),
    ("azfp6/20090314_01A.azfp", "AZFP6", None),
    ("ad2cp/SG198_0099_a.ad2cp", "AD2CP", None),
]
# Variables that are there only with their data: other kinds of samples, settings or datagrams.
CONDITIONAL = re.compile(
    r"backscatter_[ri]|transmit_pulse_[ri]|transmit_frequency_st\w+|angle_a\w+ship|.*_idx|\w+_mru1|"
    r"temperature|heading|tx_transducer_depth|sound_speed_at_transducer|annotation_text|time|"
    r"recorded_(survey|transect)_name|detected_seafloor_depth|correlation|velocity|amplitude"
)


def places(row: Row) -> list[tuple[str, str]]:
    """(group, variable) of each place of a row; none for places in words."""
    found = []
    for part in (row.place or "").split("; "):
        group, mark, names = part.partition(": ")
        if mark:
            found += [(group, name) for name in re.findall(r"\w+", names) if name != "Beam"]
    return found


@pytest.mark.parametrize(("name", "model", "xml"), REAL)
def test_what_the_table_places_is_there(
    name: str, model: str, xml: str | None, real_data: Path, tmp_path: Path
) -> None:
    done = converted(real_data / name, tmp_path, model, xml_path=real_data / xml if xml else None)
    with xr.open_datatree(done.output, engine="zarr") as tree:
        groups = {node.path.strip("/"): node.to_dataset() for node in tree.subtree}
    beams = [group for path, group in groups.items() if path.startswith("Sonar/Beam_group")]
    for row in accounts()[model]:
        for path, variable in places(row):
            there = beams if path == "Beam" else [groups[path]] if path in groups else []
            found = any(variable in group.variables or variable in group.attrs for group in there)
            assert found or CONDITIONAL.fullmatch(variable), (row, path, variable)
    why = reasons(model)
    entries = {entry["type"]: entry for entry in done.manifest["not_converted"]}
    expected = {"AD2CP": {"string": 3}}.get(model, {})
    if "20221108" in name:
        kept = ("Sensor", "Environment: TowedBodyDepth", "Environment: TowedBodyDepthIsManual")
        expected = {f"XML0 {name}": 1 for name in kept}
    assert {type_: entry["count"] for type_, entry in entries.items()} == expected
    for type_, entry in entries.items():
        assert f"{entry['count']} {type_} " in done.manifest["missing"]
        assert entry["why"] == why["XML0: any other field" if ":" in type_ else type_]


BODIES = {
    "BOT0": b"\x01\0\0\0" + bytes(8),
    "DEP0": b"\x01\0\0\0" + bytes(24),
    "IDX0": bytes(32),
    "MRU0": bytes(16),
    "FIL1": bytes(136),
}
INSIDE = [
    (EK60, "EK60", "BOT0"),
    (EK60, "EK60", "DEP0"),
    (EK60, "EK60", "IDX0"),
    (EK60, "EK60", "MRU0"),
    (EK60, "EK60", "FIL1"),
    (EK80, "EK80", "BOT0"),
    (EK80, "EK80", "IDX0"),
    (EK80, "EK80", "DEP0"),
]


@pytest.mark.parametrize(("source", "model", "type_"), INSIDE)
def test_a_datagram_that_the_output_lacks_is_named(
    source: str, model: str, type_: str, real_data: Path, tmp_path: Path
) -> None:
    content = (real_data / source).read_bytes()
    at = simrad_datagrams(content)[-1].start
    extra = [datagram_bytes(type_.encode(), BODIES[type_], TIME + n * 10_000_000) for n in (0, 1)]
    raw = tmp_path / "D.raw"
    raw.write_bytes(content[:at] + b"".join(extra) + content[at:])
    done = converted(raw, tmp_path, model)
    (entry,) = done.manifest["not_converted"]
    assert entry == {
        "type": type_,
        "count": 2,
        "first_time": "2007-07-24T04:24:00.688826+00:00",
        "last_time": "2007-07-24T04:24:01.688826+00:00",
        "why": reasons(model)[type_],
    }
    assert f"2 {type_} are not converted" in done.manifest["missing"]


GATE = "XML0 Parameter: Gate"
XML = [
    ("Sensor", b'<Sensor Type="CableLength" ManualValue="0"/>', "XML0 Sensor"),
    ("unknown", b'<Weather Wind="3"/>', "XML0 of another kind"),
    ("PingSequence", b'<PingSequence><Ping ChannelID="a"/></PingSequence>', None),
    ("an unknown attribute", b'<Environment Ice="1"/>', "XML0 Environment: Ice"),
    ("an unknown element", b"<Parameter><Gate/><Channel ChannelID='a'/></Parameter>", GATE),
    (
        "an unknown attribute of a channel",
        b"<InitialParameter><Channels><Channel ChannelID='a' Gate='2'/></Channels></InitialParameter>",
        "XML0 InitialParameter: Gate",
    ),
    (
        "several transducers, of which echopype has the last",
        b"<Environment><Transducer TransducerName='A'/><Transducer/></Environment>",
        "XML0 Environment: Transducer A",
    ),
    (
        "attributes of a schema",
        b'<PingSequence xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:nil="false"/>',
        None,
    ),
    (
        "an attribute of a maker's own namespace",
        b'<Environment xmlns:k="urn:k" k:Ice="1"/>',
        "XML0 Environment: {urn:k}Ice",
    ),
    ("text", b"<PingSequence>12<Ping/></PingSequence>", "XML0 PingSequence: text at PingSequence"),
    ("text behind", b"<PingSequence><Ping/> 12</PingSequence>", "XML0 PingSequence: text at Ping"),
    (
        "several channels, of which the last has the parameters",
        b"<Parameter><Channel ChannelID='b'/><Channel ChannelID='a'/></Parameter>",
        "XML0 Parameter: Channel b",
    ),
    (
        "parameters of an ADCP",
        b'<Parameter><Channel ChannelID="%s"/></Parameter>' % ADCP.encode(),
        "XML0 Parameter of an ADCP (EC150)",
    ),
]


@pytest.mark.parametrize(("text", "type_"), [x[1:] for x in XML], ids=[x[0] for x in XML])
def test_xml_that_the_output_lacks_is_named(
    text: bytes, type_: str | None, real_data: Path, tmp_path: Path
) -> None:
    content = (real_data / EK80).read_bytes()
    raw = tmp_path / "D.raw"
    raw.write_bytes(content + datagram_bytes(b"XML0", text, TIME))
    summary = preflight(raw, "EK80")
    # It stands behind the last ping.
    of_no_ping = [AFTER_ALL_PINGS] if text.startswith(b"<Environment") else []
    found = [entry.type for entry in summary.not_converted]
    assert found == ([type_] if type_ else []) + of_no_ping
    assert [entry.sentence for entry in summary.not_converted] == list(summary.missing)


def test_a_filter_of_another_stage_is_named(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / EK80).read_bytes()
    first = next(d for d in simrad_datagrams(content) if d.type == "FIL1")
    body = content[first.start + 16 : first.end - 4]
    raw = tmp_path / "D.raw"
    raw.write_bytes(content + datagram_bytes(b"FIL1", b"\x03\0" + body[2:], TIME))
    (entry,) = converted(raw, tmp_path, "EK80").manifest["not_converted"]
    assert (entry["type"], entry["count"]) == ("FIL1 of stage 3", 1)


def test_a_type_that_the_parser_does_not_know_is_named_with_its_times(
    real_data: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / EK60, raw)
    with raw.open("ab") as file:
        file.write(datagram_bytes(b"ZZZ9", b"1234", TIME))
    (entry,) = preflight(raw, "EK60").not_converted
    assert (entry.type, entry.count) == ("ZZZ9", 1)
    assert entry.first_time == entry.last_time is not None
