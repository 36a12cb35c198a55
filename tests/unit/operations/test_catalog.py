"""The catalogue: what it says of outputs, that it is valid STAC and a readable table, and that it is incremental."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import jsonschema_specifications
import pandas as pd
import pytest
from stac_validator.validate import StacValidate
from typer.testing import CliRunner

from echodrop.command_line import app
from gallery.server import GalleryServer
from operations.catalog import places
from operations.catalog.geometry import geometry_of, united
from operations.catalog.places import (
    ByteRange,
    ChangedMeanwhileError,
    FileContent,
    FolderListing,
    FolderPlace,
    Place,
)
from operations.catalog.reading import STATE
from operations.catalog.terminal import catalog
from operations.catalog.writing import update_catalog
from tests.http_servers import serving
from tests.unit.operations.conftest import manifest, put, report

SCHEMAS = Path(__file__).parents[2] / "schemas/stac"
BOX = {"west": 3.0, "south": 51.0, "east": 4.0, "north": 52.0}
ODD = "cruise: a/%41 b#?&+é.zarr"


class CountingPlace:
    """Counts the requests of another place, and can act before a write."""

    def __init__(self, place: Place) -> None:
        self.uri, self._place = place.uri, place
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.deleted: list[str] = []
        self.before_write: Callable[[str], None] = lambda _: None

    def list(self, folder: str) -> FolderListing:
        return self._place.list(folder)

    def open(
        self, path: str, part: ByteRange | None = None, known: str | None = None
    ) -> FileContent | None:
        self.reads[path] += 1
        return self._place.open(path, part, known)

    def write(self, path: str, body: bytes, kind: str, replaces: str | None = None) -> str:
        self.before_write(path)
        self.writes[path] += 1
        return self._place.write(path, body, kind, replaces)

    def delete(self, paths: Iterable[str]) -> None:
        self.deleted += paths
        self._place.delete(self.deleted)


def read(place: Place, path: str) -> Any:
    found = place.open(path)
    assert found is not None
    assert found.body is not None
    with found.body:
        return json.loads(found.body.read())


def listed(place: Place) -> dict[str, Any]:
    gallery: dict[str, Any] = read(place, "catalog/gallery.json")
    return gallery


def test_the_page_gets_each_output_with_its_products_and_each_failure(place: Place) -> None:
    put(place, "cruise/a.zarr")
    for product in (
        ".echogram.png",
        ".thumbnail.png",
        ".echogram.zarr/zarr.json",
        ".products.json",
    ):
        place.write(f"cruise/a.zarr{product}", b"{}", "application/json")
    put(place, "b.nc", position_box=None, positions=None, time_range=None, frequencies={})
    # A viewer store that is not complete has no record yet.
    place.write("b.nc.echogram.zarr/zarr.json", b"{}", "application/json")
    place.write("cruise/x.zarr.failure.json", report("cruise/x.raw"), "application/json")
    put(place, "cruise/y.zarr")
    place.write("cruise/y.zarr.manifest.json", b'{"manifest_version": 1}', "application/json")
    update = update_catalog(place)
    assert list(update.unreadable) == ["cruise/y.zarr.manifest.json"]
    gallery = listed(place)
    second, first = gallery["outputs"]
    assert first == {
        "output": "cruise/a.zarr",
        "name": "a",
        "cruise": "cruise",
        "model": "EK60",
        "first": "2025-09-14T17:30:00.123456Z",
        "last": "2025-09-14T17:34:55.000000Z",
        "box": [3.0, 51.0, 4.0, 52.0],
        "track": [[3.0, 51.0], [3.5, 51.5], [4.0, 52.0]],
        "channels": ["18 kHz", "38 kHz"],
        "pings": 60,
        "source_bytes": 100,
        "bytes": 50,
        "published_at": "2026-01-01T00:00:00.000000Z",
        "outcome": "Completed",
        "missing": "3 pings",
        "quality": ["a gap of 20 s"],
        "corrections": 2,
        "thumbnail": "cruise/a.zarr.thumbnail.png",
        "picture": "cruise/a.zarr.echogram.png",
        "viewer": "cruise/a.zarr.echogram.zarr",
        "manifest": "cruise/a.zarr.manifest.json",
        "raw": "s3://inbox/cruise/a.zarr.raw",
    }
    assert (second["output"], second["cruise"], second["viewer"]) == ("b.nc", "", None)
    assert (second["track"], second["box"], second["first"]) == (None, None, None)
    assert second["channels"] == ["18 kHz", "WBT 400040-15 ES38-7_ES"]
    assert gallery["failed"] == [
        {
            "key": "cruise/x.raw",
            "outcome": "BadFile",
            "reason": "cut off",
            "at": None,
            "report": "cruise/x.zarr.failure.json",
        }
    ]


def test_products_of_an_older_output_and_half_written_ones_are_not_shown(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)
    put(place, "a.zarr")
    ends = (".echogram.png", ".thumbnail.png", ".echogram.zarr/zarr.json")

    def shown() -> list[bool]:
        update_catalog(place)
        (output,) = listed(place)["outputs"]
        return [output[name] is not None for name in ("picture", "thumbnail", "viewer")]

    for end in ends:
        place.write(f"a.zarr{end}", b"1", "image/png")
    # While they are replaced.
    assert shown() == [True, True, False]
    place.write("a.zarr.products.json", b"{}", "application/json")
    assert shown() == [True] * 3
    written = (tmp_path / "a.zarr.products.json").stat().st_mtime
    os.utime(tmp_path / "a.zarr.manifest.json", (written + 1, written + 1))
    assert shown() == [False] * 3


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[FolderPlace, str]]:
    """A folder of outputs, and where it is served."""
    place = FolderPlace(tmp_path)
    server = GalleryServer(place, token="")
    with serving(server):
        yield place, f"{server.url}data/"


def test_the_catalogue_is_valid_stac_and_each_link_leads_to_its_file(
    served: tuple[FolderPlace, str],
) -> None:
    place, url = served
    across = {"west": 179.0, "south": -20.0, "east": -178.0, "north": -19.0}
    track = [[179.0, -20.0], [-178.0, -19.0]]
    put(place, "cruise/a.zarr")
    put(place, "cruise/leg 2/b.nc", position_box=across, positions={"track": track})
    put(place, "cruise/leg 2/c.nc", position_box=across, positions=None)
    put(place, "root.zarr", position_box=None, positions=None, time_range=None)
    put(place, "2007:d.zarr", channels=[], dimensions={})
    put(place, ODD, positions={"track": [[3.0, 51.0]]})
    update_catalog(place)
    names = {path.name: str(path) for path in SCHEMAS.glob("*.json")}
    core = "https://schemas.stacspec.org/v1.1.0/{}-spec/json-schema/{}.json"
    schemas = {core.format("item", Path(name).stem): path for name, path in names.items()}
    schemas |= {core.format(one, one): names[f"{one}.json"] for one in ("catalog", "collection")}
    schemas |= {f"https://geojson.org/schema/{name}": path for name, path in names.items()}
    schemas["https://stac-extensions.github.io/datacube/v2.2.0/schema.json"] = names[
        "datacube-v2.2.0.json"
    ]
    metaschemas = Path(jsonschema_specifications.__file__).parent / "schemas"
    schemas["http://json-schema.org/draft-07/schema"] = str(metaschemas / "draft7/metaschema.json")
    validator = StacValidate(f"{url}catalog/catalog.json", recursive=True, schema_map=schemas)
    assert validator.run(), validator.message
    kinds = Counter(message["asset_type"] for message in validator.message)
    assert kinds == {"CATALOG": 1, "COLLECTION": 4, "ITEM": 6}
    assert all(message["valid_stac"] for message in validator.message)

    odd = read(place, f"catalog/cruises/{ODD}.json")
    assert (
        odd["assets"]["store"]["href"] == "../../../cruise%3A%20a/%2541%20b%23%3F%26%2B%C3%A9.zarr"
    )
    assert (
        odd["assets"]["raw"]["href"]
        == "s3://inbox/cruise%3A%20a/%2541%20b%23%3F%26%2B%C3%A9.zarr.raw"
    )
    item = read(place, "catalog/cruises/cruise/leg 2/b.nc.json")
    assert item["geometry"]["type"] == "MultiLineString"
    assert item["bbox"] == [179.0, -20.0, -178.0, -19.0]
    collection = read(place, "catalog/cruises/cruise/leg 2/collection.json")
    assert collection["extent"]["spatial"]["bbox"] == [[179.0, -20.0, -178.0, -19.0]]
    nowhere = read(place, "catalog/cruises/root.zarr.json")
    assert nowhere["geometry"] is None
    assert nowhere["properties"]["datetime"] == "2026-01-01T00:00:00.000000Z"
    cube = read(place, "catalog/cruises/cruise/a.zarr.json")["properties"]["cube:dimensions"]
    assert cube["range_sample"]["extent"] == [0, 999]


def test_the_table_opens_in_pandas_duckdb_and_as_csv(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)
    across = {"west": 179.0, "south": 0.0, "east": -179.0, "north": 1.0}
    put(place, "cruise/a.zarr")
    put(place, "cruise/b, c.zarr", positions=None, position_box=None, time_range=None)
    put(place, "d.zarr", positions={"track": [[3.0, 51.0]]})
    put(place, "e.zarr", positions={"track": [[179.0, 0.0], [-179.0, 2.0]]}, position_box=across)
    put(place, "f.zarr", positions=None)
    put(place, "g.zarr", positions=None, position_box=across)
    update_catalog(place)
    table = str(tmp_path / "catalog/outputs.parquet")
    frame = pd.read_parquet(table).set_index("name")
    # fastparquet reads times without their zone; pyarrow and DuckDB have it.
    assert frame.loc["a", "first"] == pd.Timestamp("2025-09-14T17:30:00.123456")
    kinds = duckdb.execute("select distinct typeof(first) from read_parquet(?)", [table])
    assert kinds.fetchall() == [("TIMESTAMP WITH TIME ZONE",)]
    assert list(frame.loc["a", "channels"]) == ["18 kHz", "38 kHz"]
    assert frame.loc["b, c", "geometry"] is None
    question = "select output, year(first), frequencies[2] from read_parquet(?) where name = 'a'"
    assert duckdb.execute(question, [table]).fetchall() == [("cruise/a.zarr", 2025, 38000.0)]
    question = "select name, st_astext(geometry) from read_parquet(?)"
    assert dict(duckdb.execute(question, [table]).fetchall()) == {
        "a": "LINESTRING (3 51, 3.5 51.5, 4 52)",
        "b, c": None,
        "d": "POINT (3 51)",
        "e": "MULTILINESTRING ((179 0, 180 1), (-180 1, -179 2))",
        "f": "POLYGON ((3 51, 4 51, 4 52, 3 52, 3 51))",
        "g": "MULTIPOLYGON (((179 0, 180 0, 180 1, 179 1, 179 0)), ((-180 0, -179 0, -179 1, -180 1, -180 0)))",
    }
    rows = list(csv.DictReader(io.StringIO((tmp_path / "catalog/outputs.csv").read_text())))
    assert [each["output"] for each in rows[:2]] == ["cruise/a.zarr", "cruise/b, c.zarr"]
    assert rows[0]["channels"] == "18 kHz; 38 kHz"


def test_an_update_reads_and_writes_only_what_changed(place: Place) -> None:
    for number in range(5):
        put(place, f"{number % 2}/{number}.zarr")
    place.write("0/x.zarr.failure.json", report("0/x.raw"), "application/json")
    first: Any = CountingPlace(place)
    assert update_catalog(first, dry_run=True).written == 11
    assert not first.writes
    update_catalog(first)
    second: Any = CountingPlace(place)
    update = update_catalog(second)
    assert (update.written, update.read) == (0, 0)
    assert second.reads.keys() == {"catalog/state.json.gz"}
    assert not second.writes

    put(place, "0/0.zarr", unread=True)
    put(place, "1/new.zarr")
    place.write("0/2.zarr.thumbnail.png", b"png", "image/png")
    place.delete(["1/3.zarr.manifest.json", "0/x.zarr.failure.json"])
    third: Any = CountingPlace(place)
    update = update_catalog(third)
    manifests = {path for path in third.reads if path.endswith(".manifest.json")}
    assert manifests == {"0/0.zarr.manifest.json", "1/new.zarr.manifest.json"}
    assert (update.outputs, update.failed, update.gone) == (5, 0, 2)
    changed = {path.removeprefix("catalog/") for path in third.writes}
    assert {each for each in changed if each.startswith("cruises/")} == {
        *("cruises/0/2.zarr.json", "cruises/1/new.zarr.json", "cruises/1/collection.json"),
    }
    assert third.deleted == ["catalog/cruises/1/3.zarr.json"]
    assert {each["name"] for each in listed(place)["outputs"]} == {"0", "1", "2", "4", "new"}

    # The last output of a cruise takes its collection with it.
    place.delete([f"0/{name}.zarr.manifest.json" for name in "024"])
    update_catalog(place)
    catalog = read(place, "catalog/catalog.json")
    assert [link["href"] for link in catalog["links"]] == ["./catalog.json", "./cruises/1/collection.json"]  # fmt: skip
    assert place.open("catalog/cruises/0/collection.json") is None


def test_outputs_in_a_folder_named_catalog_stay(place: Place) -> None:
    for output in ("catalog/a.zarr", "catalog/cruises/b.zarr"):
        put(place, output)
        place.write(f"{output}/zarr.json", b"{}", "application/json")
    update_catalog(place)
    place.delete(["catalog/a.zarr.manifest.json"])
    update_catalog(place)
    assert [each["output"] for each in listed(place)["outputs"]] == ["catalog/cruises/b.zarr"]
    assert place.open("catalog/a.zarr/zarr.json") is not None
    assert place.open("catalog/cruises/b.zarr.manifest.json") is not None


def test_of_two_writers_the_slower_one_corrects_what_it_overwrote(place: Place) -> None:
    put(place, "a.zarr")
    slow: Any = CountingPlace(place)

    def other_writer(path: str) -> None:
        if path.endswith("a.zarr.json"):
            slow.before_write = lambda _: None
            put(place, "a.zarr", pings={"Sonar/Beam_group1": 99})
            put(place, "b.zarr")
            update_catalog(place)

    slow.before_write = other_writer
    update_catalog(slow)
    assert slow.writes["catalog/cruises/a.zarr.json"] == 2
    assert {each["name"]: each["pings"] for each in listed(place)["outputs"]} == {"a": 99, "b": 60}
    item = read(place, "catalog/cruises/a.zarr.json")
    assert item["properties"]["echodrop:pings"] == 99
    assert update_catalog(place).written == 0


def test_writers_at_the_same_time_leave_one_whole_catalogue(place: Place) -> None:
    for number in range(12):
        put(place, f"{number}.zarr")

    def update(_: int) -> int:
        try:
            return update_catalog(place).outputs
        except ChangedMeanwhileError:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert 12 in set(pool.map(update, range(4)))
    update_catalog(place)
    assert update_catalog(place).written == 0
    assert len(listed(place)["outputs"]) == 12


def test_a_writer_that_was_killed_is_made_up_for(place: Place) -> None:
    put(place, "a.zarr")
    dying: Any = CountingPlace(place)

    def die(path: str) -> None:
        if path == STATE:
            raise KeyboardInterrupt

    dying.before_write = die
    with pytest.raises(KeyboardInterrupt):
        update_catalog(dying)
    place.delete(["a.zarr.manifest.json"])
    put(place, "b.zarr")
    update_catalog(place)
    assert place.open("catalog/cruises/a.zarr.json") is None
    assert [each["name"] for each in listed(place)["outputs"]] == ["b"]


@pytest.mark.parametrize(
    ("track", "box", "expected"),
    [
        (None, None, None),
        ([], None, None),
        ([[1, 2]], [1, 2, 1, 2], ("Point", [1, 2])),
        (None, [1, 2, 1, 2], ("Point", [1, 2])),
        ([[1, 2], [3, 4]], None, ("LineString", [[1, 2], [3, 4]])),
        (
            [[179, 0], [-179, 2]],
            None,
            ("MultiLineString", [[[179, 0], [180, 1]], [[-180, 1], [-179, 2]]]),
        ),
        (
            [[-179, 0], [179, 2]],
            None,
            ("MultiLineString", [[[-179, 0], [-180, 1]], [[180, 1], [179, 2]]]),
        ),
        ([[180, 0], [-179, 2]], None, ("LineString", [[-180, 0], [-179, 2]])),
        ([[178, 0], [180, 0], [-180, 0]], None, ("LineString", [[178, 0], [180, 0], [180, 0]])),
        (
            None,
            [179, -1, -178, 1],
            (
                "MultiPolygon",
                [
                    [[[179, -1], [180, -1], [180, 1], [179, 1], [179, -1]]],
                    [[[-180, -1], [-178, -1], [-178, 1], [-180, 1], [-180, -1]]],
                ],
            ),
        ),
    ],
)
def test_a_geometry_is_the_track_else_the_box_and_is_cut_at_the_antimeridian(
    track: list[list[float]] | None,
    box: list[float] | None,
    expected: tuple[str, list[Any]] | None,
) -> None:
    found = geometry_of(track, box)
    assert (found and (found["type"], found["coordinates"])) == expected


@pytest.mark.parametrize(
    ("longitudes", "expected"),
    [
        ([(1, 2), (5, 6)], (1, 6)),
        ([(170, 180), (-180, -170)], (170, -170)),
        ([(179, -178), (175, 176)], (175, -178)),
        ([(-175, -172), (170, -170)], (170, -170)),
        ([(-180, 180)], (-180, 180)),
        ([(-170, 0), (0, 175)], (-170, 175)),
    ],
)
def test_the_box_of_a_cruise_is_the_narrowest(
    longitudes: list[tuple[float, float]], expected: tuple[float, float]
) -> None:
    west, south, east, north = united([(w, -1, e, 1) for w, e in longitudes])
    assert (west, south, east, north) == (expected[0], -1, expected[1], 1)


@pytest.mark.parametrize("command", ["catalog", "gallery"])
def test_a_place_that_cannot_be_read_is_named(rules: Path, command: str) -> None:
    for place, why in (
        ("s3://no-such-bucket/a/", "The specified bucket does not exist"),
        (str(rules.parent / "nowhere"), "no such folder"),
        ("https://host/a", "give a folder, or s3://bucket/ of an output bucket"),
    ):
        done = CliRunner().invoke(app, [command, place])
        assert done.exit_code == 2
        assert done.stderr.startswith(f"{place}: ")
        assert why in done.stderr


def test_the_command_names_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = FolderPlace(tmp_path)
    put(place, "a.zarr")
    assert catalog(str(tmp_path), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == 1
    put(place, "b.zarr")
    place.write("b.zarr.manifest.json", b"{", "application/json")
    assert catalog(str(tmp_path)) == 1
    shown = capsys.readouterr().out
    assert "1 outputs" in shown
    assert "b.zarr.manifest.json is left out" in shown
    assert catalog(str(tmp_path / "nowhere")) == 2
    assert "no such folder" in capsys.readouterr().err


def test_an_output_is_listed_only_with_its_store(place: Place) -> None:
    put(place, "a/kept.zarr")
    put(place, "a/gone.zarr")
    put(place, "a/gone.nc")
    update_catalog(place)
    place.delete(["a/gone.zarr/zarr.json", "a/gone.nc"])
    assert update_catalog(place).gone == 2
    assert [each["name"] for each in listed(place)["outputs"]] == ["kept"]


@pytest.mark.parametrize(
    ("odd", "fault"),
    [
        (manifest("b.zarr", position_box={**BOX, "west": float("nan")}), "not JSON compliant"),
        (manifest("b.zarr").replace(b'"bytes": 50', b'"bytes": 1e999'), "not JSON compliant"),
        (manifest("b.zarr").replace(b"3 pings", b"\\ud800"), "surrogates not allowed"),
        (manifest("b.zarr").replace(b"s3://inbox/b.zarr.raw", b"in/a b.raw"), None),
        (manifest("b.zarr").replace(b"s3://inbox/b.zarr.raw", b"C:\\\\data\\\\a.raw"), None),
    ],
)
def test_an_odd_manifest_does_not_stop_the_catalogue(
    place: Place, odd: bytes, fault: str | None
) -> None:
    put(place, "a.zarr")
    put(place, "b.zarr")
    place.write("b.zarr.manifest.json", odd, "application/json")
    unreadable = update_catalog(place).unreadable
    assert list(unreadable) == (["b.zarr.manifest.json"] if fault else [])
    assert fault is None or fault in unreadable["b.zarr.manifest.json"]
    assert len(listed(place)["outputs"]) == (1 if fault else 2)


def test_a_damaged_state_is_replaced(place: Place) -> None:
    put(place, "a.zarr")
    update_catalog(place)
    # The head of a gzip file, and then no deflate stream.
    place.write(STATE, b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20, "application/gzip")
    assert update_catalog(place).read == 1


def test_a_file_that_vanishes_leaves_the_rest_of_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.nc").write_bytes(b"1")
    read_entry = places._etag

    def vanishes(facts: os.stat_result) -> str:
        if facts.st_ino == (tmp_path / "2.nc").stat().st_ino:
            raise FileNotFoundError
        return read_entry(facts)

    monkeypatch.setattr(places, "_etag", vanishes)
    assert sorted(FolderPlace(tmp_path).list("").files) == ["0.nc", "1.nc", "3.nc", "4.nc"]


def test_a_signature_of_an_earlier_manifest_is_not_published(place: Place) -> None:
    put(place, "a.zarr")
    signed = b"https://user:SECRET@h/a.raw?X-Amz-Signature=SECRET"
    odd = manifest("a.zarr").replace(b"s3://inbox/a.zarr.raw", signed)
    place.write("a.zarr.manifest.json", odd, "application/json")
    update_catalog(place)
    assert listed(place)["outputs"][0]["raw"] == "https://h/a.raw"
