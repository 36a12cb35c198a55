"""Prefect's credential is only in the secret and in the parts that need it.

The last test runs `echodrop deploy` on this system with the operator's credential.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.deployment.stack_images import TARGETS, image_tag
from release.code_version import code_version
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from sandbox.start import ECS_WORKER
from sandbox.system import TRIGGER, Sandbox, SandboxOptions
from tests.sandbox_inbox import SandboxInbox

pytestmark = pytest.mark.xdist_group("sandbox-credential")

PASSWORD = "correct-horse-battery-staple"
CREDENTIAL = f"echodrop:{PASSWORD}"
# Plain, and encoded for HTTP basic authentication.
FORMS = (PASSWORD.encode(), base64.b64encode(CREDENTIAL.encode()).rstrip(b"="))
GOOD, BAD = "kept/good.raw", "kept/bad.raw"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A system whose Prefect requires the credential, after one good and one bad file."""
    folder = tmp_path_factory.mktemp("guarded")
    sample = write_sample(folder / "sample.raw", pings=20, seed=11).path
    truncated = folder / "truncated.raw"
    truncated.write_bytes(sample.read_bytes()[:-100])
    with Sandbox(
        folder / "state", SandboxOptions(credential=CREDENTIAL, products=False)
    ) as running:
        inbox = SandboxInbox(running)
        inbox.drop(sample, GOOD)
        inbox.drop(truncated, BAD)
        ends = inbox.wait_for_ends([GOOD, BAD], within=180)
        assert {key: end.state_name for key, end in ends.items()} == {
            GOOD: "Completed",
            BAD: "BadFile",
        }
        # Prefect writes a task's environment to the task's folder, which is deleted with the task.
        wait_until(lambda: not list(running.state.tasks.iterdir()), 60, "both tasks to be gone")
        yield running


def holds(content: bytes) -> bool:
    return any(form in content for form in FORMS)


def dumped(value: object) -> bytes:
    return json.dumps(value, default=str).encode()


def test_no_task_request_or_definition_contains_the_credential(guarded: Sandbox) -> None:
    ecs, cluster = guarded.client("ecs"), guarded.names.cluster
    arns: list[str] = []
    for status in ("RUNNING", "STOPPED"):
        arns += ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
    described = dumped(ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"])
    assert len(arns) == 2
    assert b"PREFECT__FLOW_RUN_ID" in described
    assert not holds(described)
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        assert container["secrets"][0]["name"] == "PREFECT_API_AUTH_STRING"
        assert not holds(dumped(definition))


def test_no_log_state_or_database_contains_the_credential(guarded: Sandbox) -> None:
    """Search everything the parts have written: logs, task output, Prefect's home and database."""
    files = [path for path in guarded.state.path.rglob("*") if path.is_file()]
    contents = {path: path.read_bytes() for path in files}
    searched = {path.name for path, content in contents.items() if GOOD.encode() in content}
    assert {f"{TRIGGER}-1.log", "prefect.db"} <= searched, "the search finds other contents"
    assert any(path.parent == guarded.state.task_logs for path in files)
    assert [str(path) for path, content in contents.items() if holds(content)] == []


@pytest.mark.parametrize(
    "what",
    ["flow_runs", "task_runs", "logs", "artifacts", "deployments", "work_pools", "events"],
)
def test_no_prefect_response_contains_the_credential(guarded: Sandbox, what: str) -> None:
    response: Any = dumped(guarded.api.request("POST", f"/{what}/filter", {}))
    assert len(response) > len("[]")
    assert not holds(response)


def test_no_output_manifest_or_report_contains_the_credential(guarded: Sandbox) -> None:
    s3, keys = guarded.client("s3"), SandboxInbox(guarded).outputs()
    assert "kept/good.zarr.manifest.json" in keys
    assert "kept/bad.zarr.failure.json" in keys
    bucket = guarded.names.output_bucket
    for key in keys:
        assert not holds(s3.get_object(Bucket=bucket, Key=key)["Body"].read()), key


def test_the_trigger_has_only_the_secrets_arn_and_the_worker_the_value(guarded: Sandbox) -> None:
    trigger, worker = guarded.parts[f"{TRIGGER}-1"], guarded.parts[ECS_WORKER]
    assert "PREFECT_AUTH_SECRET_ARN" in trigger.environment
    assert not holds(dumped(dict(trigger.environment)))
    assert worker.environment["PREFECT_API_AUTH_STRING"] == CREDENTIAL


def deploy(sandbox: Sandbox, *options: str) -> tuple[int, str]:
    """Run the command as an operator does; return its exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "echodrop", "deploy", "--stack", sandbox.names.cluster, *options],
        env=sandbox.environment(),
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def released(guarded: Sandbox) -> None:
    """Push images as a release does; the sandbox itself needs none."""
    ecr, ecs = guarded.client("ecr"), guarded.client("ecs")
    code = code_version()
    assert code is not None
    definitions = [
        ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        for arn in ecs.list_task_definitions()["taskDefinitionArns"]
    ]
    images = {each["containerDefinitions"][0]["image"] for each in definitions}
    (repository,) = {image.partition("/")[2].partition("@")[0] for image in images}
    ecr.create_repository(
        repositoryName=repository,
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
    )
    # The sandbox uses the same digest for both images.
    (digest,) = {image.partition("@")[2] for image in images}
    (processor,) = {each["runtimePlatform"]["cpuArchitecture"] for each in definitions}
    kind = "application/vnd.oci.image.manifest.v1+json"
    config = {"digest": digest, "size": 2}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})
    for target in TARGETS:
        ecr.put_image(
            repositoryName=repository,
            imageManifest=manifest,
            imageTag=image_tag(target, code.version, processor),
            imageDigest=digest,
        )


def test_deploy_reports_a_paused_work_queue_and_a_missing_observer_queue(
    guarded: Sandbox, released: None
) -> None:
    code, output = deploy(guarded)
    assert code == 0, output
    assert "create deployment reconcile-inbox/ecs" in output
    assert "MISSING" not in output
    code, again = deploy(guarded, "--dry-run")
    assert (code, again.splitlines()[0]) == (0, "nothing to change")

    sqs = guarded.client("sqs")
    url = sqs.get_queue_url(QueueName=guarded.names.task_events_queue)["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)
    live = f"/work_pools/{guarded.names.work_pool}/queues/live"
    guarded.api.request("PATCH", live, {"is_paused": True})
    code, output = deploy(guarded, "--check")
    assert code == 1
    missing = [line for line in output.splitlines() if line.startswith("MISSING")]
    assert [line.split(":")[0] for line in missing] == [
        "MISSING  work queue live",
        "MISSING  observer's queue echodrop-task-states",
    ]
    assert "prefect work-queue resume live --pool echodrop" in output
    assert "sam deploy --stack-name echodrop" in output
