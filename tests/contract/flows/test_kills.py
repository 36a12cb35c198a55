"""SIGKILL at any point of publishing: nothing torn can be opened, and a retry completes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.s3_client import s3_client
from tests.contract.flows.conftest import options_for
from tests.contract.flows.killed_runs import KILL_POINTS

_RAW = "ek80/-1519668699940320059.raw"


@pytest.fixture(scope="module")
def reports(s3_port: int, real_data: Path) -> dict[str, dict[str, Any]]:
    client = s3_client(options_for(s3_port))
    for bucket in ("kills-inbox", "kills-output"):
        client.create_bucket(Bucket=bucket)
    client.put_object(Bucket="kills-inbox", Key="ek80.raw", Body=(real_data / _RAW).read_bytes())
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.contract.flows.killed_runs",
            str(s3_port),
            "kills-inbox",
            "kills-output",
            "ek80.raw",
        ],
        cwd=Path(__file__).resolve().parents[3],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    lines = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
    return {line["point"]: line for line in lines}


@pytest.mark.xdist_group("kills")
@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_killed_run_leaves_nothing_torn_and_its_retry_completes(
    reports: dict[str, dict[str, Any]], point: str
) -> None:
    report = reports[point]
    assert report["killed"]
    # Either it opens and is whole, old or new; or it does not open at all.
    assert report["left"]["differences"] == []
    if report["left"]["manifest"]:
        assert report["left"]["openable"]
    assert report["retry"] in {"Published", "Skipped"}
    assert report["after"]["openable"]
    assert report["after"]["manifest"]
    assert not report["after"]["claim"]
    assert report["after"]["differences"] == []
    assert report["after"]["objects"] == report["after"]["objects_published"]
