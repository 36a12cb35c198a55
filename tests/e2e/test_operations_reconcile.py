"""Reconcile finds lost, damaged and crashed uploads, and --fix completes them."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from operations.clients.prefect_runs import PrefectRuns
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox, operator_environment, run_command

pytestmark = pytest.mark.xdist_group("sandbox")

PREFIX = "reconcile/"
RECONCILE = """
import sys
from operations.reconcile.terminal import reconcile
sys.exit(reconcile(
    prefix="reconcile/", fix=len(sys.argv) > 1, queue=sys.argv[-1], grace=0,
    verify=True, as_json=True,
))
"""


def key(name: str) -> str:
    return f"{PREFIX}{name}.raw"


def reconcile(sandbox: Sandbox, *queue: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command as an operator would; return its exit code and its lines."""
    done = run_command(sandbox, "-c", RECONCILE, *queue)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def replay(sandbox: Sandbox, queue: str, *arguments: str) -> list[dict[str, Any]]:
    """Run the command as an operator would; return its lines."""
    words = ("-m", "echodrop", "replay", *arguments, "--queue", queue, "--json")
    done = run_command(sandbox, *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def status(sandbox: Sandbox, *arguments: str, reads: int | None = None) -> str:
    """Run the command as an operator would; return what it printed, or its errors if the reader stops."""
    command = [sys.executable, "-m", "echodrop", "status", *arguments]
    with subprocess.Popen(
        command,
        env=operator_environment(sandbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        if reads is not None:
            running.stdout.close()
            return running.stderr.read()
        out, err = running.communicate()
    assert running.returncode in {0, 1}, err
    assert "Traceback" not in err, err
    return out


def tell_of_uploads(s3: Any, bucket: str, *, to: dict[str, Any]) -> None:
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=to)


def classes(lines: list[dict[str, Any]]) -> dict[str, str]:
    return {line["uri"].partition(PREFIX)[2]: line["class"] for line in lines if "class" in line}


def test_lost_damaged_and_crashed_uploads_are_found_and_fixed(
    sandbox: Sandbox, inbox: SandboxInbox, tmp_path: Path
) -> None:
    s3, output = sandbox.client("s3"), sandbox.names.output_bucket
    queue = sandbox.client("sqs").get_queue_url(QueueName=sandbox.names.notifications_queue)
    samples = {
        name: write_sample(tmp_path / f"{name}.raw", pings=10, seed=seed).path
        for seed, name in enumerate(("whole", "damaged", "crashed", "dead", "lost"))
    }
    (tmp_path / "bad.raw").write_bytes(samples["whole"].read_bytes()[:9000])
    dropped = ("whole", "damaged", "crashed", "dead")
    for name in dropped:
        inbox.drop(samples[name], key(name))
    inbox.drop(tmp_path / "bad.raw", key("bad"))
    runs = inbox.wait_for_ends([key(name) for name in (*dropped, "bad")], 240)
    assert runs[key("bad")].state_name == "BadFile"
    # The crashed runs below have no task, like those of killed tasks.
    ecs = sandbox.client("ecs")
    wait_until(
        lambda: (
            not ecs.list_tasks(cluster=sandbox.names.cluster, desiredStatus="RUNNING")["taskArns"]
        ),
        60,
        "all tasks to be gone",
    )

    tell_of_uploads(s3, sandbox.names.inbox_bucket, to={})
    inbox.drop(samples["lost"], key("lost"))
    tell_of_uploads(s3, sandbox.names.inbox_bucket, to={"EventBridgeConfiguration": {}})
    chunk = next(each for each in inbox.outputs(f"{PREFIX}damaged.zarr/") if "/c/" in each)
    s3.put_object(Bucket=output, Key=chunk, Body=b"spoilt")
    # A task that was killed while it published: Prefect knows of one end, and not of the other.
    for name, state in (("crashed", "CRASHED"), ("dead", "RUNNING")):
        for half in (f"{name}.zarr.manifest.json", f"{name}.zarr/zarr.json"):
            s3.delete_object(Bucket=output, Key=PREFIX + half)
        sandbox.api.request(
            "POST",
            f"/flow_runs/{runs[key(name)].id}/set_state",
            {"state": {"type": state, "name": state.title()}, "force": True},
        )

    found, lines = reconcile(sandbox)
    assert found == 1
    assert classes(lines) == {
        "bad.raw": "quarantined",
        "crashed.raw": "torn",
        "damaged.raw": "output damaged",
        "dead.raw": "stuck",
        "lost.raw": "never notified",
    }
    assert lines[-1]["counts"]["done"] == 1

    _, lines = reconcile(sandbox, queue["QueueUrl"])
    fixed = {line["uri"].partition(PREFIX)[2]: line["fix"] for line in lines if len(line) == 2}
    assert fixed == {
        "crashed.raw": "retried",
        "damaged.raw": "notified",
        "dead.raw": "ended, retried",
        "lost.raw": "notified",
    }

    def all_done() -> list[dict[str, Any]] | None:
        _, lines = reconcile(sandbox)
        return lines if lines[-1]["counts"] == {"done": 5, "quarantined": 1} else None

    lines = wait_until(all_done, 240, "reconcile to find all done", every=3)
    assert classes(lines) == {"bad.raw": "quarantined"}
    api = PrefectRuns(sandbox.prefect_api_url)
    failed = {run.raw_file: run.state_name for run in api.in_states(("FAILED",))}
    assert failed[inbox.uri(key("bad"))] == "BadFile"
    assert list(api.in_states(("FAILED",), datetime.now(UTC) + timedelta(hours=1))) == []
    counts = {name: len(runs) for name, runs in inbox.runs([key(name) for name in samples]).items()}
    assert counts == {key(name): 2 if name == "damaged" else 1 for name in samples}

    # --fix skips a faulty file; an operator can replay it.
    chosen = ("--prefix", PREFIX, "--outcome", "BadFile", "--version")
    assert replay(sandbox, queue["QueueUrl"], *chosen, "0.0.0")[:-1] == []
    (line, _) = replay(sandbox, queue["QueueUrl"], *chosen, metadata.version("echodrop"))
    assert (line["uri"], line["what"]) == (inbox.uri(key("bad")), "retried")
    bad = runs[key("bad")].id
    wait_until(lambda: sandbox.api.flow_run(bad).run_count == 2, 120, "the replayed run to start")
    inbox.wait_for_ends([key("bad")], 120)
    (line, _) = replay(sandbox, queue["QueueUrl"], inbox.uri(key("whole")), "--force")
    assert line["what"] == "notified"

    def converted_again() -> bool:
        ends = [run.state_name for run in inbox.runs([key("whole")])[key("whole")]]
        return ends == ["Completed"] * 2

    wait_until(converted_again, 120, "the new generation to be done")

    # The system says that it is healthy, and what to do about the file with the fault.
    assert status(sandbox, "--prefix", PREFIX).startswith("The system is healthy\n")
    command = f"echodrop replay {inbox.uri(key('bad'))} --allow-partial"
    assert f"type      {command}\n" in status(sandbox, inbox.uri(key("bad")))
    (line, _) = replay(sandbox, queue["QueueUrl"], *command.split()[2:])
    assert (line["uri"], line["what"]) == (inbox.uri(key("bad")), "notified")

    def partly_converted() -> bool:
        ends = [run.state_name for run in inbox.runs([key("bad")])[key("bad")]]
        return sorted(ends) == ["BadFile", "Completed"]

    wait_until(partly_converted, 120, "the intact part to be converted")
    assert "outcome   done: missing: " in status(sandbox, inbox.uri(key("bad")))
    marks = s3.get_object_tagging(Bucket=sandbox.names.inbox_bucket, Key=key("bad"))["TagSet"]
    assert marks == []
    # A reader that stops reading, as `head` does, leaves no trace.
    assert status(sandbox, "--json", "--list", "500", reads=1) == ""
