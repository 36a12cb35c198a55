"""Small files of a backfill share a task, and each has its own outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.parts.waiting import wait_until
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox, run_command
from tests.task_processes import task_processes

pytestmark = pytest.mark.xdist_group("sandbox")

PREFIX = "warm/"
SMALL = "ek80/-1519668699940320059.raw"


def command(sandbox: Sandbox, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a command as an operator does; return its exit code and its lines."""
    done = run_command(sandbox, "-m", "echodrop", *arguments, "--json")
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def batches_of(sandbox: Sandbox, start: str) -> list[dict[str, Any]]:
    """The batches whose file URIs start with this text."""
    body = {"flows": {"name": {"any_": ["convert-raw-sonar-batch"]}}}
    runs: list[dict[str, Any]] = sandbox.api.request("POST", "/flow_runs/filter", body)
    return [
        run
        for run in runs
        if all(entry["raw_file"].startswith(start) for entry in run["parameters"]["files"])
    ]


def put_unnoticed(sandbox: Sandbox, inbox: SandboxInbox, files: dict[str, Path]) -> None:
    """Create an archive: objects in the inbox without a notification."""
    s3, bucket = sandbox.client("s3"), sandbox.names.inbox_bucket
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    for key, path in files.items():
        inbox.drop(path, key)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def test_each_file_of_a_batch_whose_task_dies_gets_its_outcome(
    sandbox: Sandbox, inbox: SandboxInbox, real_data: Path, tmp_path: Path
) -> None:
    prefix = "killed batch/"
    files = {f"{prefix}{name}.raw": real_data / SMALL for name in ("one", "two", "three")}
    put_unnoticed(sandbox, inbox, files)
    archive = f"s3://{sandbox.names.inbox_bucket}/{prefix}"
    command(sandbox, "backfill", archive, "--checkpoint", str(tmp_path / "checkpoint"))

    def batch() -> dict[str, Any] | None:
        sandbox.check()
        return next(iter(batches_of(sandbox, inbox.uri(prefix))), None)

    def is_given_up() -> dict[str, Any] | None:
        """Kill each task of the batch until it gets no other."""
        found = batch()
        if found is None:
            return None
        for process in task_processes(sandbox, found["id"]):
            process.kill()
        state = found["state"]
        gone = state["type"] == "CRASHED" and (state["message"] or "").startswith("exit code")
        return found if gone else None

    crashed = wait_until(is_given_up, 180, "the batch to be given up", every=0.5)
    assert len(crashed["parameters"]["files"]) == 3
    asked = ("reconcile", "--prefix", prefix, "--grace", "0", "--fix")

    def is_fixed() -> list[dict[str, Any]] | None:
        _, lines = command(sandbox, *asked)
        done = lines[-1]["counts"] == {"done": 3}
        return lines if done else None

    wait_until(is_fixed, 240, "every file to be done", every=5)
    assert [run["id"] for run in batches_of(sandbox, inbox.uri(prefix))] == [crashed["id"]]
    for key, runs in inbox.runs(files).items():
        (run,) = runs
        assert run.state_name == "Completed", key
        store = f"{key.removesuffix('.raw')}.zarr.manifest.json"
        body = sandbox.client("s3").get_object(Bucket=sandbox.names.output_bucket, Key=store)
        assert json.loads(body["Body"].read())["run"]["flow_run_id"] == run.id


def test_small_files_of_a_backfill_share_a_task_and_a_bad_one_affects_no_other(
    sandbox: Sandbox, inbox: SandboxInbox, real_data: Path, tmp_path: Path
) -> None:
    s3, bucket = sandbox.client("s3"), sandbox.names.inbox_bucket
    whole = real_data / SMALL
    damaged = tmp_path / "damaged.raw"
    damaged.write_bytes(whole.read_bytes()[:20_000])
    files = {f"{PREFIX}{name}.raw": whole for name in ("one", "two", "three")}
    files[f"{PREFIX}damaged.raw"] = damaged
    put_unnoticed(sandbox, inbox, files)

    sent = ["backfill", f"s3://{bucket}/{PREFIX}", "--checkpoint", str(tmp_path / "checkpoint")]
    code, (end,) = command(sandbox, *sent)
    assert (code, end["sent"]) == (0, 4)

    def batches() -> list[dict[str, Any]]:
        return batches_of(sandbox, inbox.uri(PREFIX))

    def ended() -> dict[str, Any] | None:
        sandbox.check()
        found = batches()
        return found[0] if found and found[0]["state"]["type"] in {"COMPLETED", "FAILED"} else None

    batch = wait_until(ended, 240, "the batch to end", every=1)
    assert len(batches()) == 1
    assert len(batch["parameters"]["files"]) == 4
    assert not any(inbox.runs(files).values()), "a file of the batch has a run of its own, too"
    assert (batch["state"]["name"], batch["work_queue_name"]) == ("Failed", "backfill")
    assert {"outcome:PartlyFailed", "files:BadFile:1"} <= set(batch["tags"])
    assert "damaged.raw" in batch["state"]["message"]

    outputs = inbox.outputs(PREFIX)
    manifests = sorted(key for key in outputs if key.endswith(".manifest.json"))
    assert manifests == [f"{PREFIX}{name}.zarr.manifest.json" for name in ("one", "three", "two")]
    for key in manifests:
        manifest = json.loads(
            s3.get_object(Bucket=sandbox.names.output_bucket, Key=key)["Body"].read()
        )
        assert manifest["source"]["bytes"] == whole.stat().st_size
        assert manifest["run"]["flow_run_id"] == batch["id"]
    assert not any(key.startswith(f"{PREFIX}damaged.zarr/") for key in outputs)
    report = s3.get_object(
        Bucket=sandbox.names.output_bucket, Key=f"{PREFIX}damaged.zarr.failure.json"
    )
    assert json.loads(report["Body"].read())["outcome"] == "BadFile"
    tags = s3.get_object_tagging(Bucket=bucket, Key=f"{PREFIX}damaged.raw")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags}["echodrop-outcome"] == "BadFile"

    _, lines = command(sandbox, "reconcile", "--prefix", PREFIX, "--grace", "0", "--fix")
    assert {line["uri"]: line["class"] for line in lines if "class" in line} == {
        inbox.uri(f"{PREFIX}damaged.raw"): "quarantined"
    }
    assert lines[-1]["counts"] == {"done": 3, "quarantined": 1}
    assert lines[-1]["fixed"] == {}

    code, lines = command(sandbox, "status", "--since", "1h", "--prefix", PREFIX)
    assert code == 1
    assert lines[-1]["counts"] == {"done": 3, "quarantined": 1}
    details = {line["uri"]: line["detail"] for line in lines if "class" in line}
    assert details.keys() == {inbox.uri(f"{PREFIX}damaged.raw")}
    assert details[inbox.uri(f"{PREFIX}damaged.raw")].startswith("BadFile: ")

    # A second notification, as from an operator's second backfill, repeats nothing.
    command(sandbox, *sent[:2], "--checkpoint", str(tmp_path / "another"))
    wait_until(
        lambda: (
            not sandbox.client("sqs")
            .get_queue_attributes(
                QueueUrl=sandbox.client("sqs").get_queue_url(
                    QueueName=sandbox.names.notifications_queue
                )["QueueUrl"],
                AttributeNames=["ApproximateNumberOfMessages"],
            )["Attributes"]["ApproximateNumberOfMessages"]
            .strip("0")
        ),
        60,
        "the queue to be empty",
    )
    assert [run["id"] for run in batches()] == [batch["id"]]
