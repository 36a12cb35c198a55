"""SIGTERM during a publication leaves no temporary files, and no output that opens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.measuring.grow import grow
from flows.deployment import deployments
from flows.deployment.deployment_specs import conversions
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, fault_proxy
from tests.contract.flows.task_runs import started_task
from tests.ecs_endpoint import VARIABLE, ecs_endpoint

_RAW = "ek80/-1519668699940320059.raw"
_COMPLEX = "ek80/EK80_-D20221108-T151353.raw"
_CONVERT = """
import json, sys
from flows.conversion import convert
from flows.stores.request import ConversionRequest
convert(ConversionRequest(**json.loads(sys.argv[1])))
"""


class _Stall:
    """Lets some chunks pass and blocks the next."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._chunks = 0

    def __call__(self, _number: int, line: str) -> Fault | None:
        if line.startswith("PUT") and "/c/" in line:
            self._chunks += 1
            if self._chunks > 20 and not self.reached.is_set():
                self.reached.set()
                return "hang"
        return None


def _parameters(buckets: Buckets, port: int, raw: str | bytes = _RAW) -> dict[str, Any]:
    buckets.upload("ek80.raw", raw)
    options = {**options_for(port), "config_kwargs": {"read_timeout": 2}}
    return {
        "raw_file": f"s3://{buckets.inbox.bucket}/ek80.raw",
        "sonar_model": "EK80",
        "output_path": f"s3://{buckets.output.bucket}/out.zarr",
        "output_type": "zarr",
        "overwrite": True,
        "input_storage_options": options,
        "output_storage_options": options,
    }


def _ours(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith("echodrop-")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_conversion_that_is_stopped_leaves_nothing(
    buckets: Buckets,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    stall = _Stall()
    with fault_proxy(buckets.port, stall) as proxy:
        parameters = _parameters(buckets, proxy.port)
        process = subprocess.Popen(
            [sys.executable, "-c", _CONVERT, json.dumps(parameters)],
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        assert stall.reached.wait(240)
        assert list(tmp_path.glob("echodrop-*/raw.raw"))
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert _ours(tmp_path) == set()
    assert buckets.output_keys() == set()


def test_a_task_that_is_stopped_cleans_up_and_its_run_is_scheduled_again(
    buckets: Buckets, tmp_path: Path, prefect_api: Callable[..., Any], prefect_api_url: str
) -> None:
    stall = _Stall()
    raw = tmp_path / "grown.raw"
    grow(buckets.real_data / _COMPLEX, raw, 20_000_000)
    with (
        fault_proxy(buckets.port, stall) as proxy,
        ecs_endpoint({"Limits": {"CPU": 1, "Memory": 1024}}) as uri,
        temporary_settings({PREFECT_API_URL: prefect_api_url}),
    ):
        registered = deployments.register(
            work_pool="stopped", work_pool_type="process", deployments=conversions("stopped")
        )
        run = prefect_api(
            "POST",
            f"/deployments/{registered.deployments['convert-raw-sonar/stopped']}/create_flow_run",
            {"parameters": _parameters(buckets, proxy.port, raw.read_bytes())},
        )
        work = tmp_path / "work"
        work.mkdir()
        process = started_task(
            run["id"], prefect_api_url, work, TMPDIR=str(tmp_path), **{VARIABLE: uri}
        )
        assert stall.reached.wait(240)
        # The local copy, which is read until the output is published.
        assert list(tmp_path.glob("echodrop-*/raw.raw"))
        process.send_signal(signal.SIGTERM)
        # No fault of the task.
        assert process.wait(60) == 0
    state = prefect_api("GET", f"/flow_runs/{run['id']}")["state"]
    assert (state["type"], state["name"]) == ("SCHEDULED", "AwaitingRetry")
    assert _ours(tmp_path) == set()
    assert buckets.output_keys() == set()
