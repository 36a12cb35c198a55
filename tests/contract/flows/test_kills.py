"""SIGKILL and SIGTERM at any step of publishing: no incomplete output opens, and a retry completes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.stores.s3_client import s3_client
from tests.contract.flows.conftest import options_for
from tests.contract.flows.killed_runs import STOPS

_RAW = "ek80/-1519668699940320059.raw"


@pytest.fixture(scope="module")
def reports(
    s3_port: int, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    client = s3_client(options_for(s3_port))
    for bucket in ("kills-inbox", "kills-output"):
        client.create_bucket(Bucket=bucket)
    client.put_object(Bucket="kills-inbox", Key="ek80.raw", Body=(real_data / _RAW).read_bytes())
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.contract.flows.killed_runs",
            str(s3_port),
            "kills-inbox",
            "kills-output",
            "ek80.raw",
            str(tmp_path_factory.mktemp("kills")),
        ],
        cwd=Path(__file__).resolve().parents[3],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["stop"]: line for line in lines}


@pytest.mark.xdist_group("kills")
@pytest.mark.parametrize("name", STOPS)
def test_a_stopped_run_leaves_nothing_torn_and_its_retry_completes(
    reports: dict[str, dict[str, Any]], name: str
) -> None:
    report, stop = reports[name], STOPS[name]
    left, after = report["left"], report["after"]
    assert report["by"] == (stop.by.name if stop.by.name == "SIGKILL" else "exit 143")
    # Either it opens and is complete, old or new; or it does not open.
    assert left["holds"] in ({"stopped", None} if stop.first else {"old", "stopped", None})
    # An output with a manifest exists and matches it.
    if left["manifest"]:
        assert left["holds"] == left["manifest"]
        assert left["objects"] - left["objects_published"] in {0, 1}
    if left["manifest"] == "stopped":
        assert report["retry"] in {"Published", "Skipped"}
    else:
        assert report["retry"] == "Published"
    assert after["manifest"] == after["holds"]
    assert after["holds"] == ("next_owner" if report["retry"] == "Published" else "stopped")
    assert not after["claim"]
    assert after["objects"] == after["objects_published"]
    assert after["stray"] == 0
