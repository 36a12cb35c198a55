"""`echodrop draw s3://…` makes the products of outputs by a run of the real worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from operations.draw.terminal import draw
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox

pytestmark = [pytest.mark.xdist_group("sandbox"), pytest.mark.slow]


def test_outputs_of_a_prefix_are_drawn_in_the_backfill_lane_and_once(
    sandbox: Sandbox, inbox: SandboxInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in sandbox.environment().items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("ECHODROP_STACK", "echodrop")
    sample = write_sample(tmp_path / "a.raw", pings=40, channels=(38_000,), samples=200).path
    inbox.drop(sample, "drawn/a.raw")
    (end,) = inbox.wait_for_ends(["drawn/a.raw"], 180).values()
    assert end.state_name == "Completed"
    # The switch of this sandbox is off.
    assert not [key for key in inbox.outputs("drawn/") if "echogram" in key]

    target = inbox.output_uri("drawn/")
    assert draw([target]) == 0
    # What is requested is not requested again.
    assert draw([target]) == 0

    def record() -> bytes | None:
        key = "drawn/a.zarr.products.json"
        if key not in inbox.outputs(key):
            return None
        s3 = sandbox.client("s3")
        body: bytes = s3.get_object(Bucket=sandbox.names.output_bucket, Key=key)["Body"].read()
        return body

    made = json.loads(wait_until(record, 240, "the products", every=1))
    states = {name: each["state"] for name, each in made["products"].items()}
    assert states["echogram"] == states["thumbnail"] == "made"
    picture = f"drawn/{made['products']['echogram']['path']}"
    assert picture in inbox.outputs(picture)
    runs = sandbox.api.request(
        "POST", "/flow_runs/filter", {"flows": {"name": {"any_": ["make-products"]}}}
    )
    assert [run["work_queue_name"] for run in runs] == ["backfill"]
    assert draw([target], dry_run=True) == 0
