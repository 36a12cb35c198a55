"""The gallery of the running system shows what is dropped, and `echodrop catalog` finds the outputs by itself."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import urllib3

from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox

pytestmark = pytest.mark.xdist_group("sandbox")
PROJECT = Path(__file__).resolve().parents[2]


def test_dropped_files_appear_in_the_gallery_and_in_the_catalogue(
    sandbox: Sandbox, inbox: SandboxInbox, tmp_path: Path
) -> None:
    data = f"{sandbox.gallery_url}data/"
    good = write_sample(tmp_path / "good.raw", pings=20).path
    (tmp_path / "cut.raw").write_bytes(good.read_bytes()[:-200])
    keys = [f"gallery/{name}.raw" for name in ("good", "cut")]
    for key in keys:
        inbox.drop(tmp_path / key.rpartition("/")[2], key)

    def shown() -> tuple[dict[str, Any], dict[str, Any]] | None:
        sandbox.check()
        listed = json.loads(urllib3.request("GET", f"{data}catalog/gallery.json").data)
        outputs = [each for each in listed["outputs"] if each["cruise"] == "gallery"]
        failed = [each for each in listed["failed"] if each["key"] in keys]
        return (outputs[0], failed[0]) if outputs and failed else None

    output, failed = wait_until(shown, 180, "both files in the gallery", every=0.5)
    assert (output["name"], output["pings"], output["model"]) == ("good", 20, "EK60")
    assert output["channels"] == ["18 kHz", "38 kHz", "120 kHz", "200 kHz"]
    assert output["box"]
    assert len(output["track"]) >= 2
    assert (failed["key"], failed["outcome"]) == ("gallery/cut.raw", "BadFile")
    root = urllib3.request("GET", f"{data}{output['output']}/zarr.json", headers={"Range": "bytes=0-0"})  # fmt: skip
    assert (root.status, root.data) == (206, b"{")

    environment = {**os.environ, **sandbox.environment(), "ECHODROP_STACK": sandbox.names.cluster}
    done = subprocess.run(
        [sys.executable, "-m", "echodrop", "catalog", "--json"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["catalog"] == f"s3://{sandbox.names.output_bucket}/catalog/"
    item = urllib3.request("GET", f"{data}catalog/cruises/{output['output']}.json")
    assert json.loads(item.data)["assets"]["raw"]["href"] == inbox.uri(keys[0])
