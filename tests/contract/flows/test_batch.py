"""The batch flow with a real Prefect server: each file has its own outcome."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import conversion
from flows.convert_raw_sonar_batch import convert_raw_sonar_batch
from flows.core.outcomes import PartlyFailed
from flows.deployment import deployments
from flows.deployment.deployment_specs import conversions
from flows.publishing.manifest import read_manifest
from tests.contract.flows.task_runs import end_of, ended_task_runs, started_task

pytestmark = pytest.mark.usefixtures("prefect_everywhere")

ApiCall = Callable[..., Any]

READABLE = {
    "ek60/D20070724-T042400.raw": "EK60",
    "ek80/EK80_-D20221108-T151353.raw": "EK80",
    "ek80/-1519668699940320059.raw": "EK80",
    "ek80/2917763601822576513.raw": "EK80",
    "azfp/15100520-Test.01A": "AZFP",
    "ad2cp/SG198_0099_a.ad2cp": "AD2CP",
}
# The files with their outcomes.
BROKEN = {
    "azfp/15100520-Test-Corrupt.01A": "BadFile",
    "azfp/15100520-Test-Var_Chans.01A": "UnsupportedDatagram",
}
_SMALL = "ek80/-1519668699940320059.raw"


def entry(raw: Path, model: str, output: Path, **more: Any) -> dict[str, Any]:
    return {
        "raw_file": str(raw),
        "sonar_model": model,
        "output_path": str(output),
        "output_type": "zarr",
        **more,
    }


@dataclass
class Done:
    """A finished batch of all real files."""

    state: Any
    files: list[dict[str, Any]]
    outputs: Path

    @property
    def run_id(self) -> str:
        return str(self.state.state_details.flow_run_id)


@pytest.fixture(scope="module")
def batch(prefect_api_url: str, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    outputs = tmp_path_factory.mktemp("outputs")
    settings = str(real_data / "azfp/15100804.XML")
    files = [
        entry(
            real_data / name,
            model,
            outputs / f"{Path(name).name}.zarr",
            **({"xml_path": settings} if model == "AZFP" else {}),
        )
        for name, model in {**READABLE, **dict.fromkeys(BROKEN, "AZFP")}.items()
    ]
    # Broken files come first; later files must not be affected.
    files.reverse()
    state: Any = convert_raw_sonar_batch(files, return_state=True)
    return Done(state, files, outputs)


def test_each_file_ends_by_itself_and_the_batch_names_those_that_failed(
    batch: Done, prefect_api: ApiCall
) -> None:
    assert end_of(batch.state) == ("FAILED", "Failed", "PartlyFailed")
    assert batch.state.message.startswith("PartlyFailed: 2 of 8 files failed: ")
    tags = prefect_api("GET", f"/flow_runs/{batch.run_id}")["tags"]
    counts = Counter(BROKEN.values())
    assert set(tags) == {"outcome:PartlyFailed", *(f"files:{n}:{c}" for n, c in counts.items())}
    runs = ended_task_runs(prefect_api, batch.run_id, 8)
    states = {run["name"]: (run["state_type"], run["state_name"]) for run in runs}
    assert states == {
        **{Path(name).name: ("COMPLETED", "Completed") for name in READABLE},
        **{Path(name).name: ("FAILED", outcome) for name, outcome in BROKEN.items()},
    }
    # A broken file is not retried.
    assert {run["run_count"] for run in runs} == {1}
    messages = {run["name"]: run["state"]["message"] for run in runs}
    for name, outcome in BROKEN.items():
        assert f"{Path(name).name} ({outcome})" in batch.state.message
        assert name in messages[Path(name).name]


def test_each_output_is_verified_and_says_what_it_is_made_of(batch: Done, real_data: Path) -> None:
    for name, model in READABLE.items():
        output = batch.outputs / f"{Path(name).name}.zarr"
        assert (output / "zarr.json").is_file()
        manifest = read_manifest(
            output.with_name(f"{output.name}.manifest.json").read_bytes(), "manifest"
        )
        assert manifest["source"]["uri"] == str(real_data / name)
        assert manifest["sonar"]["model"] == model
        assert manifest["run"]["flow_run_id"] == batch.run_id
        assert manifest["verification"]["objects_listed"] == manifest["output"]["objects"]
    for name in BROKEN:
        assert list(batch.outputs.glob(f"{Path(name).name}*")) == []


def test_the_failure_holds_the_outcomes_and_the_table_shows_them(
    batch: Done, prefect_api: ApiCall
) -> None:
    failure = batch.state.result(raise_on_failure=False)
    assert isinstance(failure, PartlyFailed)
    assert [file["raw_file"] for file in failure.files] == [f["raw_file"] for f in batch.files]
    broken = [file for file in failure.files if not file["completed"]]
    expected = {Path(name).name: outcome for name, outcome in BROKEN.items()}
    assert {file["name"]: file["outcome"] for file in broken} == expected
    for file in broken:
        assert file["facts"]["outcome"] == file["outcome"]
        assert file["facts"]["file"] == file["raw_file"]
    json.dumps(failure.files)
    (table,) = prefect_api(
        "POST",
        "/artifacts/filter",
        {
            "flow_runs": {"id": {"any_": [batch.run_id]}},
            "artifacts": {"key": {"any_": ["batch"]}},
        },
    )
    rows = json.loads(table["data"])
    assert Counter(row["outcome"] for row in rows) == {
        **dict.fromkeys(BROKEN.values(), 1),
        "Completed": 6,
    }
    assert {row["file"] for row in rows[:2]} == expected.keys()
    assert all(row["message"] for row in rows)


def test_the_same_batch_again_is_skipped_file_by_file(batch: Done, prefect_api: ApiCall) -> None:
    published = [file for file in batch.files if not file["raw_file"].endswith(tuple(BROKEN))]
    before = {path: path.stat().st_mtime_ns for path in batch.outputs.rglob("*")}
    # In threads, which need no new processes: test_batch_runners shows that files end the same.
    state: Any = convert_raw_sonar_batch(published, task_runner="threads", return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert state.message == "6 files: 6 Skipped"
    assert [file["outcome"] for file in state.result()] == ["Skipped"] * 6
    runs = ended_task_runs(prefect_api, str(state.state_details.flow_run_id), 6)
    assert {(run["state_type"], run["state_name"]) for run in runs} == {("COMPLETED", "Skipped")}
    assert {path: path.stat().st_mtime_ns for path in batch.outputs.rglob("*")} == before


def test_a_bad_entry_is_its_file_s_own_and_a_bad_list_is_refused(
    real_data: Path, tmp_path: Path
) -> None:
    good = entry(real_data / _SMALL, "EK80", tmp_path / "out.zarr")
    state: Any = convert_raw_sonar_batch(
        [{**good, "sonar_model": "EK90", "output_path": str(tmp_path / "x.zarr")}],
        task_runner="threads",
        return_state=True,
    )
    assert end_of(state) == ("FAILED", "Failed", "AllFailed")
    (outcome,) = state.result(raise_on_failure=False).files
    assert outcome["outcome"] == "InvalidParameters"
    assert "files[0]: sonar_model is 'EK90'" in outcome["message"]
    state = convert_raw_sonar_batch([good, good], return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "InvalidParameters")
    assert "files[0] and files[1] have the same output" in state.message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_finds_no_memory_is_crashed_and_harms_no_other(
    prefect_api_url: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prefect_api_url
    open_raw = conversion.open_raw

    def sometimes(request: Any, progress: Any) -> Any:
        if request.output.uri.endswith("large.zarr"):
            raise MemoryError("Unable to allocate 9 TiB")
        return open_raw(request, progress)

    monkeypatch.setattr(conversion, "open_raw", sometimes)
    raw = real_data / "ek60/D20070724-T042400.raw"
    files = [entry(raw, "EK60", tmp_path / f"{name}.zarr") for name in ("large", "small")]
    state: Any = convert_raw_sonar_batch(files, task_runner="threads", return_state=True)
    large, small = state.result(raise_on_failure=False).files
    # Like a file that killed its process, it is then converted in its own run.
    assert (large["outcome"], large["message"]) == (
        "Crashed",
        "out of memory: Unable to allocate 9 TiB",
    )
    assert small["completed"]


# Of the batch that is killed, two of which are done by then; odd, so that no two counts are equal.
FILES = 5


def test_a_batch_killed_amid_its_files_goes_on_where_it_was(
    real_data: Path, tmp_path: Path, prefect_api: ApiCall, prefect_api_url: str
) -> None:
    registered = deployments.register(
        work_pool="batches", work_pool_type="process", deployments=conversions("batches")
    )
    outputs, work = tmp_path / "outputs", tmp_path / "work"
    outputs.mkdir()
    work.mkdir()
    files = []
    for number in range(FILES):
        raw = tmp_path / f"{number}.raw"
        shutil.copyfile(real_data / _SMALL, raw)
        files.append(entry(raw, "EK80", outputs))
    run = prefect_api(
        "POST",
        f"/deployments/{registered.deployments['convert-raw-sonar-batch/batches']}/create_flow_run",
        {"parameters": {"files": files, "max_workers": 1}},
    )

    def execute() -> subprocess.Popen[bytes]:
        return started_task(run["id"], prefect_api_url, work)

    def manifests() -> set[str]:
        return {path.name for path in outputs.glob("*.manifest.json")}

    killed = execute()
    deadline = time.monotonic() + 120
    while len(manifests()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    first = psutil.Process(killed.pid)
    for process in [first, *first.children(recursive=True)]:
        process.kill()
    killed.wait(30)
    before = manifests()
    assert 2 <= len(before) < FILES
    openable = {path.parent.name for path in outputs.glob("*.zarr/zarr.json")}
    assert {f"{name}.manifest.json" for name in openable} >= before
    prefect_api(
        "POST",
        f"/flow_runs/{run['id']}/set_state",
        {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True},
    )
    assert execute().wait(120) == 0
    state = prefect_api("GET", f"/flow_runs/{run['id']}")["state"]
    assert (state["type"], state["name"]) == ("COMPLETED", "Completed")
    assert state["message"] == f"{FILES} files: {_counted(len(before))}"
    assert len(manifests()) == FILES


def _counted(skipped: int) -> str:
    counts = Counter({"Completed": FILES - skipped, "Skipped": skipped})
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
