"""Products are made beside a complete output, each whole or not at all, and recorded."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.products import echogram, make, viewer_store
from flows.products.jobs.failed_record import record_failure
from flows.products.jobs.product_jobs import ProductJob
from flows.products.make import OutputIncompleteError, make_products
from flows.products.product_files import OutputReplacedError, product_files
from tests.unit.products.conftest import Converted
from tests.viewer_contract import violations

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_record_names_what_is_beside_the_output(sample: Path) -> None:
    before = contents(sample.parent)
    record = make_products(str(sample))
    folder = sample.parent
    for name in ("echogram", "thumbnail"):
        product = record["products"][name]
        body = (folder / product["path"]).read_bytes()
        assert product["state"] == "made"
        assert body.startswith(b"\x89PNG")
        assert (len(body), hashlib.sha256(body).hexdigest()) == (
            product["bytes"],
            product["sha256"],
        )
    viewer = record["products"]["viewer"]
    assert violations(folder / viewer["path"]) == []
    stored = contents(folder / viewer["path"])
    assert (len(stored), sum(map(len, stored.values()))) == (viewer["objects"], viewer["bytes"])
    assert json.loads((folder / "s.zarr.products.json").read_text()) == record
    manifest = json.loads((folder / "s.zarr.manifest.json").read_text())
    assert record["output_sha256"] == manifest["output"]["sha256"]
    assert record["picture"]["panels"][0].startswith("38 kHz")
    after = contents(folder)
    made = tuple(f"s.zarr{end}" for end in (".echogram", ".thumbnail.png", ".products.json"))
    assert {name for name in after if name not in before} == {
        n for n in after if n.startswith(made)
    }
    assert {name: after[name] for name in before} == before, "the output itself is only read"


def test_a_failing_product_stops_no_other_and_leaves_nothing(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_products(str(sample))

    def fail(*_: object) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(viewer_store, "_write_level", fail)
    record = make_products(str(sample))
    assert record["products"]["viewer"] == {"state": "failed", "error": "MemoryError: no more"}
    assert record["products"]["echogram"]["state"] == "made"
    assert not Path(f"{sample}.echogram.zarr").exists(), "an older one would be taken for this"
    monkeypatch.undo()
    monkeypatch.setattr(echogram, "column_means", fail)
    record = make_products(str(sample))
    states = {name: product["state"] for name, product in record["products"].items()}
    assert states == {"echogram": "failed", "thumbnail": "failed", "viewer": "made"}
    assert [
        p.name for p in sample.parent.iterdir() if ".partial" in p.name or p.suffix == ".png"
    ] == []


def test_only_some_keeps_the_others_of_the_same_output(sample: Path) -> None:
    make_products(str(sample), only=["echogram"])
    record = make_products(str(sample), only=["viewer"])
    assert {name: p["state"] for name, p in record["products"].items()} == {
        "echogram": "made",
        "viewer": "made",
    }
    assert record["picture"]["quantity"] == "Sv"
    another_version(sample)
    record = make_products(str(sample), only=["thumbnail"])
    assert list(record["products"]) == ["thumbnail"], "those of another output do not count"
    with pytest.raises(ValueError, match=r"unknown products \['movie'\]"):
        make_products(str(sample), only=["movie"])


def test_an_incomplete_output_has_no_products(sample: Path) -> None:
    Path(f"{sample}.manifest.json").unlink()
    with pytest.raises(OutputIncompleteError, match="has no manifest"):
        make_products(str(sample))
    assert not Path(f"{sample}.products.json").exists()


def another_version(output: Path) -> None:
    """Replace the output's manifest, as another run does."""
    manifest = Path(f"{output}.manifest.json")
    changed = json.loads(manifest.read_text())
    changed["output"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(changed))


@pytest.mark.parametrize("fails", [False, True])
def test_the_products_of_a_newer_output_stay(
    sample: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    newer = Path(f"{sample}.echogram.png"), Path(f"{sample}.products.json")

    def picture(_source: object) -> bytes:
        another_version(sample)
        for path in newer:
            path.write_bytes(b"newer")
        if fails:
            raise MemoryError
        return b"older"

    monkeypatch.setattr(make, "_picture", picture)
    with pytest.raises(OutputReplacedError):
        make_products(str(sample))
    assert [path.read_bytes() for path in newer] == [b"newer"] * 2
    assert record_failure(ProductJob(str(sample)), "killed", {}, "1" * 64) is None
    assert [path.read_bytes() for path in newer] == [b"newer"] * 2


def test_no_record_calls_products_current_while_they_are_replaced(sample: Path) -> None:
    record = Path(f"{sample}.products.json")
    make_products(str(sample), only=["thumbnail"])
    seen = []
    make_products(str(sample), only=["thumbnail"], on_end=lambda *_: seen.append(record.exists()))
    assert (seen, record.exists()) == ([False], True)


def test_products_are_on_the_disk_before_they_have_their_name(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))

    monkeypatch.setattr(os, "fsync", note)
    store = tmp_path / "store"
    (store / "0").mkdir(parents=True)
    for name in ("zarr.json", "0/c"):
        (store / name).write_bytes(b"1")
    files = product_files(str(sample))
    files.write(".thumbnail.png", b"1")
    files.write_store(".echogram.zarr", store)
    files.remove(".thumbnail.png")
    for end in (".thumbnail.png", ".echogram.zarr/zarr.json", ".echogram.zarr/0/c"):
        (path,) = (each for each in synced if each.endswith(f"-{sample.name}{end}"))
        assert ".partial-" in path
    assert synced.count(str(sample.parent)) == 3
    assert contents(Path(f"{sample}.echogram.zarr")) == {"zarr.json": b"1", "0/c": b"1"}


def test_a_failure_leaves_no_half_written_or_older_product(sample: Path) -> None:
    ends = (".echogram.png", ".thumbnail.png", ".echogram.zarr")
    for end in ends[:2]:
        Path(f"{sample}{end}").write_bytes(b"1")
    Path(f"{sample}{ends[2]}/0").mkdir(parents=True)
    entry = {"state": "made"}
    record = record_failure(ProductJob(str(sample)), "killed", {"echogram": entry})
    assert record is not None
    assert {name: each["state"] for name, each in record["products"].items()} == {
        "echogram": "made",
        "thumbnail": "failed",
        "viewer": "failed",
    }
    assert [Path(f"{sample}{end}").exists() for end in ends] == [True, False, False]


def test_a_process_that_did_not_begin_leaves_current_products(sample: Path) -> None:
    made = make_products(str(sample), only=["thumbnail"])
    assert record_failure(ProductJob(str(sample)), "did not start") == made
    assert Path(f"{sample}.thumbnail.png").exists()


def test_netcdf_gives_the_same_picture(converted: Converted) -> None:
    records = [
        make_products(
            str(converted("ek60/D20070724-T042400.raw", "EK60", suffix)), only=["thumbnail"]
        )
        for suffix in (".zarr", ".nc")
    ]
    zarr, netcdf = (record["products"]["thumbnail"] for record in records)
    assert zarr["sha256"] == netcdf["sha256"]


def test_the_command_prints_a_line_for_each_output(sample: Path) -> None:
    command = [sys.executable, "-m", "flows.products.make", "--only", "thumbnail"]
    done = subprocess.run(
        [*command, str(sample), str(sample.parent / "absent.zarr")],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    made, absent = (json.loads(line) for line in done.stdout.splitlines())
    assert made["products"]["thumbnail"]["state"] == "made"
    assert "has no manifest" in absent["error"]
    assert done.returncode == 1


def test_colours_are_by_name(sample: Path) -> None:
    def thumbnail(name: str) -> Any:
        return make_products(str(sample), only=["thumbnail"], colours=name)["products"]["thumbnail"]

    made = [thumbnail(name) for name in ("ek500", "haline", "magma")]
    assert len({product["sha256"] for product in made}) == 3
    assert thumbnail("grue")["state"] == "failed"
