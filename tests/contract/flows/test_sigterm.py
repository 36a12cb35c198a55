"""SIGTERM amid a publication: no temporary file stays, and nothing that opens."""

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

from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import deployments
from flows.deployment_specs import conversions
from sandbox.environments import system_environment
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, fault_proxy

_RAW = "ek80/-1519668699940320059.raw"
_CONVERT = """
import json, sys
from flows.conversion import convert
from flows.request import ConversionRequest
convert(ConversionRequest(**json.loads(sys.argv[1])))
"""


class _Stall:
    """Lets some chunks through and holds the next one up."""

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


def _parameters(buckets: Buckets, port: int) -> dict[str, Any]:
    buckets.upload("ek80.raw", _RAW)
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


def test_a_conversion_that_is_terminated_leaves_nothing(buckets: Buckets, tmp_path: Path) -> None:
    stall = _Stall()
    with fault_proxy(buckets.port, stall) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-c", _CONVERT, json.dumps(_parameters(buckets, proxy.port))],
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        assert stall.reached.wait(60)
        assert any(path.name.startswith("echodrop-") for path in tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert [path for path in tmp_path.iterdir() if path.name.startswith("echodrop-")] == []
    assert buckets.output_keys() == set()


def test_a_task_that_is_stopped_cleans_up_and_its_run_is_scheduled_again(
    buckets: Buckets, tmp_path: Path, prefect_api: Callable[..., Any], prefect_api_url: str
) -> None:
    stall = _Stall()
    with (
        fault_proxy(buckets.port, stall) as proxy,
        temporary_settings({PREFECT_API_URL: prefect_api_url}),
    ):
        registered = deployments.register(
            work_pool="stopped", work_pool_type="process", deployments=conversions("stopped")
        )
        run = prefect_api(
            "POST",
            f"/deployments/{registered.deployments['convert-raw-sonar/stopped']}/create_flow_run",
            {"parameters": _parameters(buckets, proxy.port)},
        )
        work = tmp_path / "work"
        work.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "flow-run", "execute", run["id"]],
            env={
                **os.environ,
                **system_environment(),
                "PREFECT_API_URL": prefect_api_url,
                # Without it SIGTERM ends Prefect's parent process alone and the
                # engine never hears of it.
                "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule",
                "TMPDIR": str(tmp_path),
            },
            # Prefect copies the working directory for the run.
            cwd=work,
        )
        assert stall.reached.wait(120)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    state = prefect_api("GET", f"/flow_runs/{run['id']}")["state"]
    assert (state["type"], state["name"]) == ("SCHEDULED", "AwaitingRetry")
    assert [path for path in tmp_path.iterdir() if path.name.startswith("echodrop-")] == []
    assert buckets.output_keys() == set()
