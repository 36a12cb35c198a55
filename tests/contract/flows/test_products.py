"""Products on a real Prefect server: whatever becomes of them, the run ends as its conversion did."""

from __future__ import annotations

import json
import logging
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3

from flows import conversion
from flows.convert_raw_sonar import convert_raw_sonar
from flows.convert_raw_sonar_batch import convert_raw_sonar_batch
from flows.deployment import deployments
from flows.deployment.deployment_specs import BACKFILL, conversions, drawing
from flows.make_products import make_products
from flows.products.jobs import in_child, product_jobs
from flows.publishing.publication import Skipped
from flows.runs.run_products import METRIC, STACK
from lambda_trigger.decisions.rules_document import Rules
from operations.clients.prefect_api import RateLimitedPrefectApi
from operations.clients.prefect_runs import PrefectRuns
from operations.draw.terminal import DEPLOYMENT, request_runs, requested_outputs
from operations.status.health import health_lines
from sandbox.sea.sample_file import write_sample
from tests.contract.conftest import ApiCall
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, fault_proxy
from tests.contract.flows.task_runs import started_task
from tests.product_children import product_child

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_everywhere")]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    return write_sample(folder / "a.raw", pings=30, channels=(38_000,), samples=100).path


@dataclass
class Drop:
    """A file to convert, with products switched on; `children` lists the processes that made them."""

    parameters: dict[str, Any]
    children: Path
    patch: pytest.MonkeyPatch

    @property
    def output(self) -> Path:
        return Path(self.parameters["output_path"])

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(Path(f"{self.output}.products.json").read_text())
        return found

    def child(self, how: str) -> None:
        self.patch.setattr(in_child, "_COMMAND", product_child(how, self.children))

    def convert(self, **changes: Any) -> Any:
        return convert_raw_sonar(**self.parameters | changes, return_state=True)


@pytest.fixture
def drop(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    monkeypatch.setenv(product_jobs.SWITCH, "on")
    return Drop(
        {
            "raw_file": str(raw),
            "sonar_model": "EK60",
            "output_path": str(tmp_path / "out.zarr"),
            "output_type": "zarr",
        },
        tmp_path / "children",
        monkeypatch,
    )


def artifacts(api: ApiCall, state: Any) -> dict[str, dict[str, Any]]:
    run_id = str(state.state_details.flow_run_id)
    found = api("POST", "/artifacts/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    return {artifact["key"]: artifact for artifact in found if artifact["key"]}


@pytest.mark.parametrize("how", ["fails", "killed", "hangs"])
def test_a_run_whose_products_fail_is_completed_and_says_so(
    drop: Drop,
    prefect_api: ApiCall,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    how: str,
) -> None:
    drop.child(how)
    drop.patch.setenv(STACK, "echodrop")
    if how == "hangs":
        drop.patch.setattr(product_jobs, "_BASE", timedelta(seconds=8))
    state = drop.convert()
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert state.result() == str(drop.output)
    assert Path(f"{drop.output}.manifest.json").is_file()
    assert drop.record["products"]["viewer"]["state"] == "failed"
    (warning,) = (
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and "products not made" in record.getMessage()
    )
    assert f"echodrop draw {drop.output}" in warning
    (line,) = (each for each in capsys.readouterr().out.splitlines() if METRIC in each)
    assert {"stack": "echodrop", METRIC: 1}.items() <= json.loads(line).items()
    assert "Not made: " in artifacts(prefect_api, state)["picture"]["data"]


def test_products_that_cannot_even_begin_change_nothing(drop: Drop) -> None:
    drop.patch.setattr(in_child, "_COMMAND", ("/nowhere/python",))
    assert drop.convert().name == "Completed"
    assert "did not start" in drop.record["products"]["echogram"]["error"]

    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    drop.patch.setattr(in_child, "make_in_child", fail)
    assert drop.convert(overwrite=True).name == "Completed"


def test_a_run_of_a_published_file_makes_products_that_are_missing_or_stale(drop: Drop) -> None:
    drop.child("well")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(product_jobs.SWITCH, "off")
        assert drop.convert().name == "Completed"
    assert not drop.children.exists()
    assert drop.convert().name == "Skipped"
    first = drop.record
    assert first["products"]["viewer"]["state"] == "made"
    picture = Path(f"{drop.output}.echogram.png")
    picture.write_bytes(b"as it was")
    assert drop.convert().name == "Skipped"
    assert picture.read_bytes() == b"as it was"
    # Another encoding is another checksum.
    assert drop.convert(overwrite=True, compact=False).name == "Completed"
    assert picture.read_bytes() == b"1"
    assert drop.record["output_sha256"] != first["output_sha256"]
    # A newer upload makes the products with its own output.
    children = drop.children.read_text()
    superseded = Skipped(str(drop.output), "there is a newer version")
    drop.patch.setattr(conversion, "open_raw", lambda *_: superseded)
    assert drop.convert().name == "Skipped"
    assert drop.children.read_text() == children


def test_a_batch_makes_the_products_of_its_published_files_in_one_process(
    drop: Drop, tmp_path: Path, prefect_api: ApiCall
) -> None:
    drop.child("well")
    files = [
        drop.parameters | {"output_path": str(tmp_path / f"{name}.zarr")} for name in ("a", "b")
    ]
    files.append(drop.parameters | {"raw_file": "/nowhere/c.raw"})
    order: list[str] = []
    module = sys.modules[convert_raw_sonar_batch.fn.__module__]

    def noted(name: str, step: Any) -> Any:
        def call(given: Any) -> Any:
            order.append(name)
            return step(given)

        return call

    for name in ("failed_run", "make_products_of"):
        drop.patch.setattr(module, name, noted(name, getattr(module, name)))
    state: Any = convert_raw_sonar_batch(files, task_runner="threads", return_state=True)
    assert order == ["failed_run", "make_products_of"], "the failure is tagged first"
    assert "1 of 3 files failed" in state.message
    assert len(drop.children.read_text().splitlines()) == 1
    assert {path.name for path in tmp_path.glob("*.products.json")} == {
        "a.zarr.products.json",
        "b.zarr.products.json",
    }
    page = artifacts(prefect_api, state)["picture"]["data"]
    assert "### a.zarr" in page
    assert "### b.zarr" in page


def test_the_picture_of_a_file_in_s3_is_an_artifact_with_a_link_that_opens(
    drop: Drop, raw: Path, buckets_without_files: Buckets, prefect_api: ApiCall
) -> None:
    options = options_for(buckets_without_files.port)
    output = f"s3://{buckets_without_files.output.bucket}/cruise/a.zarr"
    state = drop.convert(output_path=output, output_storage_options=options)
    assert state.name == "Completed"
    keys = buckets_without_files.output_keys()
    assert {f"cruise/a.zarr{end}" for end in (".echogram.png", ".products.json")} <= keys
    page = artifacts(prefect_api, state)["picture"]["data"]
    assert "![a.zarr](data:image/png;base64,iVBORw0KGgo" in page
    link = page.partition("[a.zarr.echogram.png](")[2].partition(")")[0]
    answer = urllib3.request("GET", link)
    assert answer.status == 200
    assert answer.data.startswith(b"\x89PNG")

    # A new publication lists by the output's name, and leaves the products.
    products = {key for key in keys if not key.startswith("cruise/a.zarr/")}
    drop.patch.setenv(product_jobs.SWITCH, "off")
    places = {"output_path": output, "output_storage_options": options}
    assert drop.convert(**places, overwrite=True, compact=False).name == "Completed"
    assert products <= buckets_without_files.output_keys()


def failed_drawings(api_url: str) -> int:
    """How many runs `echodrop status` counts that did not make all."""
    ask, rules = PrefectRuns(api_url).ask_now, Rules("inbox", "output", ())
    *_, products = health_lines(rules, ask, lambda _: 0, {}, datetime.now(UTC))
    assert products.part == "products"
    assert products.is_fault == (not products.state.startswith("0 "))
    return int(products.state.split()[0])


def test_make_products_of_many_outputs_ends_completed_with_what_became_of_each(
    drop: Drop, tmp_path: Path, prefect_api_url: str
) -> None:
    failed_before = failed_drawings(prefect_api_url)
    drop.child("fails")
    outputs = [str(tmp_path / f"{name}.zarr") for name in ("good", "bad")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(product_jobs.SWITCH, "off")
        for output in outputs:
            assert drop.convert(output_path=output).name == "Completed"
    outputs.append(str(tmp_path / "absent.zarr"))
    state: Any = make_products(outputs, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "PartlyMade")
    assert [each["state"] for each in state.result()] == ["made", "failed", "incomplete"]
    assert outputs[1] in state.message
    assert failed_drawings(prefect_api_url) == failed_before + 1
    drop.child("well")
    again: Any = make_products(outputs[:2], return_state=True)
    assert (again.name, again.message) == ("Completed", "1 current, 1 made")
    assert failed_drawings(prefect_api_url) == failed_before + 1


def test_draw_requests_runs_in_the_backfill_lane_once(
    prefect_api: ApiCall, prefect_api_url: str
) -> None:
    deployments.register(work_pool="drawn", work_pool_type="process", deployments=(drawing(),))
    api = RateLimitedPrefectApi(prefect_api_url)
    outputs = [f"s3://output/{number}.zarr" for number in range(5)]
    assert requested_outputs(api, force=False) == set()
    assert list(request_runs(api, outputs, together=2, force=False)) == [2, 2, 1]
    runs = prefect_api(
        "POST", "/flow_runs/filter", {"flows": {"name": {"any_": ["make-products"]}}}
    )
    ours = [run for run in runs if run["parameters"]["outputs"][0] in outputs]
    assert {run["work_queue_name"] for run in ours} == {BACKFILL}
    assert sorted(each for run in ours for each in run["parameters"]["outputs"]) == outputs
    assert requested_outputs(api, force=False) == set(outputs)
    # A run that keeps current products does not do what a forced one would.
    assert requested_outputs(api, force=True) == set()
    assert DEPLOYMENT == "make-products/ecs"


def test_a_task_that_is_stopped_while_it_draws_leaves_no_process_and_a_verified_output(
    drop: Drop,
    buckets_without_files: Buckets,
    prefect_api: ApiCall,
    prefect_api_url: str,
    tmp_path: Path,
) -> None:
    at_picture = threading.Event()

    def hang(_number: int, line: str) -> Fault | None:
        if not (line.startswith("PUT") and ".echogram.png" in line):
            return None
        at_picture.set()
        return "hang"

    registered = deployments.register(
        work_pool="drawing", work_pool_type="process", deployments=conversions("drawing")
    )
    with fault_proxy(buckets_without_files.port, hang) as proxy:
        parameters = drop.parameters | {
            "output_path": f"s3://{buckets_without_files.output.bucket}/a.zarr",
            "output_storage_options": options_for(proxy.port),
        }
        deployment = registered.deployments["convert-raw-sonar/drawing"]
        run = prefect_api(
            "POST", f"/deployments/{deployment}/create_flow_run", {"parameters": parameters}
        )
        task = started_task(run["id"], prefect_api_url, tmp_path, **{product_jobs.SWITCH: "on"})
        try:
            assert at_picture.wait(240)
            family = psutil.Process(task.pid).children(recursive=True)
            children = [each for each in family if "flows.products.jobs.child" in each.cmdline()]
            assert len(children) == 1
            task.terminate()
            assert task.wait(60) == 0
        finally:
            task.kill()
        gone, alive = psutil.wait_procs(children, timeout=30)
    assert (len(gone), alive) == (1, [])
    state = prefect_api("GET", f"/flow_runs/{run['id']}")["state"]
    assert (state["type"], state["name"]) == ("SCHEDULED", "AwaitingRetry")
    assert "a.zarr.manifest.json" in buckets_without_files.output_keys()
