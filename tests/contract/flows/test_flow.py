"""The flow with a real Prefect server: states, retries, artifacts, logs, pauses."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, tags, task
from prefect.artifacts import create_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Failed
from prefect.utilities.visualization import TaskVizTracker, build_task_dependencies

from flows import conversion
from flows import convert_raw_sonar as flow_module
from flows.convert_raw_sonar import convert_raw_sonar
from flows.core.outcomes import BadFile, TransientFault, WrongModel
from flows.deployment import deployments
from flows.deployment.deployment_specs import conversions
from flows.runs import run_progress
from flows.runs.failure_hooks import report_failure
from flows.runs.run_states import RETRIES
from lambda_trigger import larger_task
from sandbox.parts.waiting import wait_until
from tests.contract.flows.task_runs import end_of, ended_task_runs, started_task

ApiCall = Callable[..., Any]
DOCS = Path(__file__).resolve().parents[3] / "docs"
_RAW = "ek80/-1519668699940320059.raw"

pytestmark = pytest.mark.usefixtures("prefect_everywhere")


@pytest.fixture
def parameters(real_data: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "raw_file": str(real_data / _RAW),
        "sonar_model": "EK80",
        "output_path": str(tmp_path / "out.zarr"),
        "output_type": "zarr",
    }


def paused_runs(api: ApiCall) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = api(
        "POST", "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
    )
    return runs


def test_a_conversion_returns_the_path_and_shows_its_manifest(
    parameters: dict[str, Any], prefect_api: ApiCall, caplog: pytest.LogCaptureFixture
) -> None:
    state: Any = convert_raw_sonar(**parameters, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert state.result() == parameters["output_path"]
    run_id = str(state.state_details.flow_run_id)
    artifacts = prefect_api("POST", "/artifacts/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    kinds = {artifact["type"]: artifact for artifact in artifacts}
    assert {"table", "markdown"} <= kinds.keys()
    assert parameters["output_path"] in kinds["table"]["data"]
    # echopype, which is imported by now, silences all INFO lines of a process.
    assert logging.root.manager.disable == logging.NOTSET
    assert "INFO" in {record.levelname for record in caplog.records if "publish" in record.message}


def test_the_manifest_has_the_size_of_the_task_and_why_it_grew(
    parameters: dict[str, Any],
) -> None:
    def run_of(**changes: Any) -> Any:
        output = convert_raw_sonar(**parameters | changes)
        return json.loads(Path(f"{output}.manifest.json").read_text())["run"]

    plain = run_of()
    assert (plain["tier"], plain["enlarged"]) == (None, None)
    with tags("model:EK80", "tier:large", "enlarged-from:standard"):
        grown = run_of(overwrite=True, output_path=parameters["output_path"] + "2.zarr")
    # The trigger's own strings, because neither side can import the other.
    assert grown["tier"] == "large"
    assert grown["enlarged"] == {"from": "standard", "reason": larger_task.OUT_OF_MEMORY}


def test_the_same_again_is_skipped_and_returns_the_same_path(parameters: dict[str, Any]) -> None:
    assert convert_raw_sonar(**parameters) == parameters["output_path"]
    state: Any = convert_raw_sonar(**parameters, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Skipped")
    assert "already published" in state.message
    assert state.result() == parameters["output_path"]


def lines_of(caplog: pytest.LogCaptureFixture, cause: str) -> list[str]:
    """What the run logged about this cause, and every traceback."""
    return [
        record.getMessage()
        for record in caplog.records
        if (cause in record.getMessage() or record.exc_info) and "Retry" not in record.getMessage()
    ]


def test_a_bad_file_fails_by_name_and_is_not_retried(
    parameters: dict[str, Any],
    real_data: Path,
    tmp_path: Path,
    prefect_api: ApiCall,
    caplog: pytest.LogCaptureFixture,
) -> None:
    raw = tmp_path / "cut.raw"
    raw.write_bytes((real_data / _RAW).read_bytes()[:-100])
    parameters["raw_file"] = str(raw)
    state: Any = convert_raw_sonar(**parameters, return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "BadFile")
    assert state.message.startswith(f"BadFile: {raw}: ")
    run_id = str(state.state_details.flow_run_id)
    run = prefect_api("GET", f"/flow_runs/{run_id}")
    assert (run["state"]["name"], run["tags"]) == ("Failed", ["outcome:BadFile"])
    # The log has the cause once, with the remedy, and the page of the run has both, too.
    (line,) = lines_of(caplog, "truncated at byte")
    assert line == f"{state.message}\nWhat to do: {BadFile.remedy}"
    (page,) = prefect_api("POST", "/artifacts/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    assert (page["type"], page["key"]) == ("markdown", "failure")
    assert [part in page["data"] for part in ("## BadFile", f"{raw}: ", BadFile.remedy)] == [
        True
    ] * 3
    tasks = ended_task_runs(prefect_api, run_id, 1)
    assert [(task["name"].startswith("Open Raw File"), task["run_count"]) for task in tasks] == [
        (True, 1)
    ]
    assert not Path(parameters["output_path"]).exists()
    with pytest.raises(BadFile):
        convert_raw_sonar(**parameters)


def test_another_model_and_bad_parameters_are_named(parameters: dict[str, Any]) -> None:
    with pytest.raises(WrongModel, match="declared as EK60, but the file is from EK80"):
        convert_raw_sonar(**{**parameters, "sonar_model": "EK60"})
    state: Any = convert_raw_sonar(**{**parameters, "sonar_model": "EK90"}, return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "InvalidParameters")
    assert "sonar_model is 'EK90'; known values: EK60" in state.message
    state = convert_raw_sonar(**parameters, chunks={"nonsense": 3}, return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "InvalidParameters")
    assert "nonsense" in state.message


def test_a_transient_fault_is_retried(
    parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch, prefect_api: ApiCall
) -> None:
    monkeypatch.setattr(flow_module.open_raw_file, "retry_delay_seconds", [0] * RETRIES)
    open_raw = conversion.open_raw
    faults = [TransientFault("the store", "503"), ConnectionResetError("peer")]

    def falter(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return open_raw(*arguments)

    monkeypatch.setattr(conversion, "open_raw", falter)
    assert convert_raw_sonar(**parameters) == parameters["output_path"]
    assert faults == []


def test_a_run_that_is_retried_forgets_its_outcome(
    parameters: dict[str, Any], prefect_api: ApiCall
) -> None:
    with tags("echodrop", "outcome:BadFile", "files:BadFile:3"):
        state: Any = convert_raw_sonar(**parameters, return_state=True)
    run = prefect_api("GET", f"/flow_runs/{state.state_details.flow_run_id}")
    assert (run["state"]["name"], run["tags"]) == ("Completed", ["echodrop"])


def test_a_lasting_fault_ends_the_run_by_its_name(
    parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flow_module.open_raw_file, "retry_delay_seconds", [0] * RETRIES)
    calls: list[int] = []

    def fail(*_: Any) -> Any:
        calls.append(1)
        raise TransientFault("the store", "503 for minutes")

    monkeypatch.setattr(conversion, "open_raw", fail)
    state: Any = convert_raw_sonar(**parameters, return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "TransientFault")
    assert len(calls) == 1 + RETRIES
    (line,) = lines_of(caplog, "503 for minutes")
    assert line.endswith(TransientFault.remedy)


def test_a_large_file_waits_for_an_operator(
    parameters: dict[str, Any], prefect_api: ApiCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "PAUSE_POLL_SECONDS", 0.2)
    # The server is shared with other tests, so runs that already wait are not ours.
    before = {run["id"] for run in paused_runs(prefect_api)}
    seen: list[str] = []

    def resume() -> None:
        def waits() -> bool:
            seen[:] = [run["id"] for run in paused_runs(prefect_api) if run["id"] not in before]
            return bool(seen)

        wait_until(waits, 120, "the run to wait for its operator", every=0.1)
        for run_id in seen:
            prefect_api("POST", f"/flow_runs/{run_id}/resume", {})

    operator = threading.Thread(target=resume)
    operator.start()
    path = convert_raw_sonar(**parameters, pause_above_bytes=1000)
    operator.join()
    assert path == parameters["output_path"]
    assert len(seen) == 1
    assert convert_raw_sonar(**parameters, overwrite=True, pause_above_bytes=10**9) == path


def test_a_deployed_run_releases_its_machine_while_it_waits(
    parameters: dict[str, Any], prefect_api: ApiCall, prefect_api_url: str, tmp_path: Path
) -> None:
    registered = deployments.register(
        work_pool="local", work_pool_type="process", deployments=conversions("local")
    )
    run = prefect_api(
        "POST",
        f"/deployments/{registered.deployments['convert-raw-sonar/local']}/create_flow_run",
        {"parameters": {**parameters, "pause_above_bytes": 1000}},
    )

    def execute() -> dict[str, Any]:
        assert started_task(run["id"], prefect_api_url, tmp_path).wait(120) == 0
        state: dict[str, Any] = prefect_api("GET", f"/flow_runs/{run['id']}")["state"]
        return state

    assert execute()["name"] == "Suspended"
    prefect_api("POST", f"/flow_runs/{run['id']}/resume", {})
    assert execute()["name"] == "Completed"
    assert Path(parameters["output_path"], "zarr.json").is_file()


def test_out_of_memory_is_a_crash_and_not_a_bug(
    parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr("flows.conversion.open_raw", too_large)
    state: Any = convert_raw_sonar(**parameters, return_state=True)
    assert state.is_crashed()
    assert state.message == "out of memory: Unable to allocate 9 TiB"


def test_the_flow_is_drawn_as_the_docs_show_it(
    parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TaskVizTracker() as tracker:  # type: ignore[no-untyped-call]  # Prefect's own
        convert_raw_sonar.fn(**parameters)
        graph = build_task_dependencies(tracker)
    assert graph.source == (DOCS / "convert-raw-sonar.dot").read_text()
    assert (DOCS / "convert-raw-sonar.png").read_bytes().startswith(b"\x89PNG")
    # As called by a person; Graphviz may be installed, and opens no window here.
    if shutil.which("dot"):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("graphviz.Digraph.view", lambda it, **_: it.render())
        convert_raw_sonar.visualize(**parameters)
        assert [path for path in tmp_path.rglob("*") if path.suffix in {".png", ".pdf"}]


def test_a_parameter_of_another_type_ends_the_run_by_name(parameters: dict[str, Any]) -> None:
    for wrong, cause in (
        ({"output_type": "csv"}, "output_type: Input should be 'netcdf' or 'zarr'"),
        ({"chunks": {"ping_time": "many"}}, "chunks.ping_time: Input should be a valid integer"),
        ({"overwrite": "perhaps"}, "overwrite: Input should be a valid boolean"),
    ):
        state: Any = convert_raw_sonar(**parameters | wrong, return_state=True)
        assert end_of(state) == ("FAILED", "Failed", "InvalidParameters")
        assert state.message.startswith(f"InvalidParameters: {cause}")


def test_the_progress_artifact_moves(prefect_api: ApiCall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_progress, "_INTERVAL_SECONDS", 0.05)

    def artifacts() -> list[dict[str, Any]]:
        asked = {"flow_runs": {"id": {"any_": [str(flow_run.get_id())]}}}
        found: list[dict[str, Any]] = prefect_api("POST", "/artifacts/filter", asked)
        return found

    def stands_at(percent: float) -> bool:
        return [artifact["data"] for artifact in artifacts()] == [percent]

    @task(cache_policy=NO_CACHE)
    def work() -> list[Any]:
        with run_progress.ProgressArtifact("a file") as progress:
            seen = []
            for stage, fraction, percent in (
                ("fetch", 0.5, 10.0),
                ("open", 0.5, 36.0),
                ("verify", 2.0, 99.0),
                ("manifest", 1.0, 100.0),
            ):
                progress(stage, fraction)
                wait_until(partial(stands_at, percent), 30, f"the bar at {percent}", every=0.1)
                seen += artifacts()
            return seen

    @flow
    def moving() -> list[Any]:
        return work()

    seen = moving()
    # One progress bar, which belongs to the task and moved.
    assert len({artifact["id"] for artifact in seen}) == 1
    assert {artifact["type"] for artifact in seen} == {"progress"}
    assert all(artifact["task_run_id"] for artifact in seen)
    assert seen[0]["description"] == "a file"


def test_progress_ends_at_100_or_at_what_stopped_it(
    prefect_api: ApiCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_progress, "_INTERVAL_SECONDS", 0.05)
    by_run = {"any_": list[str]()}

    def bars() -> dict[str, float]:
        found = prefect_api("POST", "/artifacts/filter", {"flow_runs": {"id": by_run}})
        return {bar["description"]: bar["data"] for bar in found if bar["type"] == "progress"}

    def broken(raw_file: str) -> None:
        with run_progress.ProgressArtifact("broken") as progress:
            progress("fetch", 1.0)
            wait_until(lambda: "broken" in bars(), 30, "the bar")
            raise BadFile(raw_file, "cut")

    @flow(on_failure=[report_failure])
    def stopping(raw_file: str) -> Any:
        by_run["any_"] = [str(flow_run.get_id())]
        with run_progress.ProgressArtifact("whole", last="open") as progress:
            progress("fetch", 1.0)
            wait_until(lambda: bars() == {"whole": 40.0}, 30, "the bar")
        with pytest.raises(BadFile):
            broken(raw_file)
        create_progress_artifact(30.0, description="killed")
        return Failed(name="TimedOut")

    stopping("a.raw", return_state=True)
    assert bars() == {
        "whole": 100.0,
        "broken: stopped, BadFile: stopped, TimedOut": 20.0,
        "killed: stopped, TimedOut": 30.0,
    }


def test_a_refused_progress_bar_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_progress, "_INTERVAL_SECONDS", 0.01)
    asked = threading.Event()

    def refuse(*_: Any, **__: Any) -> None:
        asked.set()
        raise RuntimeError("no artifacts today")

    monkeypatch.setattr(run_progress, "create_progress_artifact", refuse)

    @flow
    def moving() -> bool:
        with run_progress.ProgressArtifact("a file") as progress:
            progress("fetch", 0.5)
            return asked.wait(30)

    assert moving()
