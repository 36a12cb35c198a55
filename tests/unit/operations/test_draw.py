"""`echodrop draw` finds the outputs that lack current products, and asks for each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.products.jobs import in_child
from flows.products.jobs.product_jobs import JobResult, ProductJob
from operations.draw import terminal
from operations.draw.terminal import draw, requested_outputs
from tests.unit.operations.conftest import FakeInbox, lines

MADE = {"echogram": {"state": "made"}, "viewer": {"state": "not_applicable"}}
FAILED = {"echogram": {"state": "failed", "error": "MemoryError"}}


def record(sha256: str, products: dict[str, Any]) -> bytes:
    return json.dumps({"output_sha256": sha256, "products": products}).encode()


def manifest(sha256: str) -> bytes:
    fields = {
        "manifest_version": 1,
        "source": {"uri": "s3://inbox/a.raw", "etag": "e"},
        "sidecars": [],
        "output": {"objects": 1, "bytes": 1, "sha256": sha256},
    }
    return json.dumps(fields).encode()


# What is beside each output; and what is none.
FILES = {
    "none.zarr.manifest.json": manifest("1"),
    "current.nc.manifest.json": manifest("2"),
    "current.nc.products.json": record("2", MADE),
    "cruise/stale.zarr.manifest.json": manifest("3"),
    "cruise/stale.zarr.products.json": record("2", MADE),
    "cruise/failed.zarr.manifest.json": manifest("4"),
    "cruise/failed.zarr.products.json": record("4", FAILED),
    "cruise/torn.zarr/zarr.json": b"{}",
    "none.zarr/inside.zarr.manifest.json": manifest("5"),
    "manifest.json": b"{}",
    ".echodrop/hidden.zarr.manifest.json": manifest("6"),
}
LACKING = ["cruise/failed.zarr", "cruise/stale.zarr", "none.zarr"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, body in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return tmp_path


@pytest.fixture
def bucket(world: FakeInbox, rules: Path) -> str:
    del rules  # sets the environment of the services
    for name, body in FILES.items():
        world.s3.put_object(Bucket=world.output, Key=name, Body=body)
    return world.output


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[ProductJob]:
    """The outputs that were drawn on this machine; one of them fails."""
    found: list[ProductJob] = []

    def make(jobs: list[ProductJob]) -> Iterator[JobResult]:
        for job in jobs:
            found.append(job)
            bad = job.output.endswith("stale.zarr")
            yield JobResult(job.output, "failed" if bad else "made", error="no luck" if bad else "")

    monkeypatch.setattr(in_child, "make_in_child", make)
    return found


class Prefect:
    """Prefect's API, in memory."""

    def __init__(self, *unfinished: dict[str, Any]) -> None:
        state = {"type": "RUNNING", "timestamp": datetime.now(UTC).isoformat()}
        self.unfinished = [{"parameters": each, "state": state} for each in unfinished]
        self.created: list[dict[str, Any]] = []

    def runs(self, _wanted: object, flow: str) -> list[dict[str, Any]]:
        assert flow == "make-products"
        return self.unfinished

    def ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        if method == "GET":
            assert path == "/deployments/name/make-products/ecs"
            return {"id": "7"}
        assert path == "/deployments/7/create_flow_run"
        self.created.append(body)
        return {}


def test_outputs_of_a_folder_that_lack_current_products_are_drawn_here(
    folder: Path, drawn: list[ProductJob], capsys: Any
) -> None:
    assert draw([str(folder)], dry_run=True, as_json=True) == 0
    assert drawn == []
    (counts,) = lines(capsys)
    assert (counts["outputs"], counts["current"], counts["to make here"]) == (4, 1, 3)
    assert draw([str(folder)], as_json=True) == 1
    assert [job.output for job in drawn] == [str(folder / name) for name in LACKING]
    (counts,) = lines(capsys)
    assert (counts["made"], counts["failed"]) == (2, 1)
    assert counts["failures"] == [f"{folder}/cruise/stale.zarr: no luck"]


def test_an_output_alone_and_with_force(
    folder: Path, drawn: list[ProductJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    current = str(folder / "current.nc")
    assert draw([current]) == 0
    assert drawn == []
    assert draw([current], force=True) == 0
    assert [(job.output, job.force) for job in drawn] == [(current, True)]
    monkeypatch.chdir(folder)
    drawn.clear()
    # Named twice, drawn once.
    assert draw(["none.zarr/", str(folder / "none.zarr")]) == 0
    assert {Path(job.output).resolve() for job in drawn} == {folder / "none.zarr"}


def test_outputs_in_s3_are_drawn_by_runs_that_are_requested_once(
    bucket: str, drawn: list[ProductJob], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    uris = [f"s3://{bucket}/{name}" for name in LACKING]
    prefect = Prefect({"outputs": [uris[0]]})
    monkeypatch.setattr(terminal, "prefect_api", lambda: prefect)
    target = f"s3://{bucket}/"
    assert draw([target], dry_run=True, as_json=True) == 0
    (counts,) = lines(capsys)
    assert (counts["to request"], prefect.created) == (3, [])
    assert draw([target], together=1, as_json=True) == 0
    assert [each["parameters"] for each in prefect.created] == [
        {"outputs": [uri], "force": False} for uri in uris[1:]
    ]
    (counts,) = lines(capsys)
    assert (counts["requested before"], counts["requested"], counts["runs"]) == (1, 2, 2)
    # Each request may be repeated, but no two are one.
    assert len({each["idempotency_key"] for each in prefect.created}) == 2
    # A run that keeps what is current does not replace one that is forced.
    prefect.created.clear()
    assert draw([f"{target}cruise/"], force=True) == 0
    (created,) = prefect.created
    assert created["parameters"] == {"outputs": uris[:2], "force": True}
    assert drawn == []
    assert draw([f"s3://{bucket}/cruise/stale.zarr"], here=True) == 1
    assert [job.output for job in drawn] == [uris[1]]


@pytest.mark.parametrize(
    ("state", "hours", "counts"),
    [
        ("RUNNING", 23, True),
        ("RUNNING", 25, False),
        ("PENDING", 25, False),
        ("SCHEDULED", 99, True),
    ],
)
def test_a_run_that_hangs_for_a_day_does_not_hold_its_outputs(
    state: str, hours: int, *, counts: bool
) -> None:
    since = datetime.now(UTC) - timedelta(hours=hours)
    api: Any = Prefect({"outputs": ["a"]})
    api.unfinished[0]["state"] = {"type": state, "timestamp": f"{since:%Y-%m-%dT%H:%M:%S.%fZ}"}
    assert requested_outputs(api, force=False) == ({"a"} if counts else set())


@pytest.mark.parametrize("target", ["nothing/", "cruise/torn.zarr", "gs://bucket/"])
def test_a_target_without_outputs_is_named(folder: Path, target: str, capsys: Any) -> None:
    named = target if "://" in target else str(folder / target)
    assert draw([named]) == 2
    assert named.rstrip("/") in capsys.readouterr().err
