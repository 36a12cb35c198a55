"""The task runners of a batch: all have the same outcomes, and a bad file affects no other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.convert_raw_sonar_batch import convert_file, convert_raw_sonar_batch
from flows.deployment import deployments
from flows.deployment.deployment_specs import DeploymentSpec
from flows.publishing.manifest import read_manifest
from flows.runs.batch.isolated_tasks import RunnerName, run_isolated
from tests.contract.flows.task_runs import end_of, ended_task_runs

pytestmark = pytest.mark.usefixtures("prefect_everywhere")

ApiCall = Callable[..., Any]

EXPECTED = {
    "azfp/15100520-Test-Corrupt.01A": ("AZFP", "BadFile"),
    "azfp/15100520-Test-Var_Chans.01A": ("AZFP", "UnsupportedDatagram"),
    "ek60/D20070724-T042400.raw": ("EK60", "Completed"),
    "azfp/15100520-Test.01A": ("AZFP", "Completed"),
    "ek80/-1519668699940320059.raw": ("EK80", "Completed"),
    "ek80/2917763601822576513.raw": ("EK80", "Completed"),
}


# Processes are the default, which test_batch tests in the same way.
@pytest.mark.parametrize("runner", ["threads", "dask"])
def test_each_file_ends_as_in_its_own_process(
    runner: RunnerName, real_data: Path, tmp_path: Path, prefect_api: ApiCall
) -> None:
    files = [
        {
            "raw_file": str(real_data / name),
            "sonar_model": model,
            "output_path": str(tmp_path / f"{Path(name).name}.zarr"),
            "output_type": "zarr",
            **({"xml_path": str(real_data / "azfp/15100804.XML")} if model == "AZFP" else {}),
        }
        for name, (model, _) in EXPECTED.items()
    ]
    state: Any = convert_raw_sonar_batch(files, task_runner=runner, return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "PartlyFailed")
    outcomes = state.result(raise_on_failure=False).files
    assert [file["outcome"] for file in outcomes] == [outcome for _, outcome in EXPECTED.values()]
    for file in outcomes:
        manifest = Path(f"{file['output']}.manifest.json")
        if not file["completed"]:
            # Its facts have come back from the process in which it failed.
            assert file["facts"]["outcome"] == file["outcome"]
            assert not manifest.exists()
            assert not Path(file["output"]).exists()
            continue
        written = read_manifest(manifest.read_bytes(), "manifest")
        assert written["source"]["uri"] == file["raw_file"]
        assert written["run"]["flow_run_id"] == str(state.state_details.flow_run_id)
    run_id = str(state.state_details.flow_run_id)
    runs = ended_task_runs(prefect_api, run_id, len(EXPECTED))
    assert {run["name"] for run in runs} == {Path(name).name for name in EXPECTED}


@task(cache_policy=NO_CACHE)
def _may_die(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@task(cache_policy=NO_CACHE)
def _process(number: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("runner", ["processes", "dask"])
def test_a_file_that_kills_its_process_harms_no_other(
    runner: RunnerName, prefect_api: ApiCall
) -> None:
    @flow
    def calls() -> list[tuple[str, Any]]:
        states = run_isolated(_may_die, [{"number": number} for number in range(4)], 2, runner)
        return [(state.type.value, state.name) for state in states]

    state: Any = calls(return_state=True)
    crashed, done = ("CRASHED", "Crashed"), ("COMPLETED", "Completed")
    assert state.result() == [done, crashed, done, done]
    run_id = str(state.state_details.flow_run_id)
    found = ended_task_runs(prefect_api, run_id)
    # None stays Running.
    assert {run["state_type"] for run in found} <= {"COMPLETED", "CRASHED"}


def test_a_running_scheduler_is_used(tmp_path: Path) -> None:
    @flow
    def processes() -> set[int]:
        return {
            state.result()
            for state in run_isolated(
                _process, [{"number": number} for number in range(4)], 4, "dask"
            )
        }

    # distributed has no types.
    serving: Any = distributed
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        serving.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        serving.Client(cluster, set_as_default=False) as client,
    ):
        with dask.config.set({"scheduler-address": cluster.scheduler_address}):
            assert processes() == set(client.run(os.getpid).values())
        # It is shared with others, so the batch does not stop it.
        assert len(client.scheduler_info()["workers"]) == 1


def test_missing_dask_is_reported_with_the_package_to_install(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    file = {
        "raw_file": str(real_data / "ek80/-1519668699940320059.raw"),
        "sonar_model": "EK80",
        "output_path": str(tmp_path / "out.zarr"),
    }
    state: Any = convert_raw_sonar_batch([file], task_runner="dask", return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "InvalidParameters")
    assert "prefect_dask is not installed: install echodrop with the extra '.[dask]'" in (
        state.message
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "outcome"),
    [("tcp://127.0.0.1:9", "TransientFault"), ("nonsense://x:1", "InvalidParameters")],
)
def test_a_scheduler_that_does_not_answer_ends_the_batch_by_name(
    real_data: Path, tmp_path: Path, address: str, outcome: str
) -> None:
    file = {
        "raw_file": str(real_data / "ek80/-1519668699940320059.raw"),
        "sonar_model": "EK80",
        "output_path": str(tmp_path / "out.zarr"),
    }
    with dask.config.set({"scheduler-address": address, "distributed.comm.timeouts.connect": "1s"}):
        state: Any = convert_raw_sonar_batch([file], task_runner="dask", return_state=True)
    assert end_of(state) == ("FAILED", "Failed", outcome)
    assert address in state.message
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_answer_is_that_file_s_own_transient_fault(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: ApiCall
) -> None:
    # Threads share the change made here.
    monkeypatch.setattr(convert_file, "retries", 2)
    monkeypatch.setattr(convert_file, "retry_delay_seconds", [0.01, 0.01])
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01
    )
    away = {"key": "a", "secret": "b", "endpoint_url": "http://127.0.0.1:9"}
    raw, away_raw = str(real_data / "ek80/-1519668699940320059.raw"), "s3://inbox/away.raw"
    files = [
        {
            "raw_file": name,
            "sonar_model": "EK80",
            "output_path": str(tmp_path / f"{Path(name).stem}.zarr"),
            "output_type": "zarr",
            "input_storage_options": away if name == away_raw else {},
        }
        for name in (away_raw, raw)
    ]
    state: Any = convert_raw_sonar_batch(files, task_runner="threads", return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "PartlyFailed")
    outcomes = state.result(raise_on_failure=False).files
    assert [file["outcome"] for file in outcomes] == ["TransientFault", "Completed"]
    assert outcomes[0]["facts"]["what"] == away_raw
    run_id = str(state.state_details.flow_run_id)
    runs = ended_task_runs(prefect_api, run_id, 2)
    counts = {run["name"]: run["run_count"] for run in runs}
    assert counts == {"away.raw": 3, Path(raw).name: 1}


def test_a_deployment_s_own_parameter_chooses_for_all_its_runs(prefect_api: ApiCall) -> None:
    spec = DeploymentSpec(
        "flows.convert_raw_sonar_batch.convert_raw_sonar_batch",
        "on-threads",
        parameters={"task_runner": "threads"},
    )
    registered = deployments.register(
        work_pool="runners", work_pool_type="process", deployments=[spec]
    )
    deployment = registered.deployments["convert-raw-sonar-batch/on-threads"]
    # As the trigger requests it: only with the files.
    run = prefect_api(
        "POST", f"/deployments/{deployment}/create_flow_run", {"parameters": {"files": []}}
    )
    assert run["parameters"] == {"files": [], "task_runner": "threads"}
