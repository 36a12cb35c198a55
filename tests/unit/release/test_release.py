"""A release, from the command to its programs; AWS is moto, docker and sam are fakes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from release import terminal
from release.code_version import CodeVersion
from release.steps import StepContext
from release.terminal import release_plan
from tests.unit.release.conftest import Peers

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
GIVEN = ("PrefectApiUrl=https://prefect.example.org/api", "AlertEmail=watch@example.org")
TASK, WORKER = "sha256:" + "a" * 64, "sha256:" + "b" * 64

Release = Callable[..., int]


@pytest.fixture
def release(running: StepContext, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> Release:
    code = CodeVersion("0.1.0-abc", "c0ffee")
    monkeypatch.setattr(terminal, "code_version", lambda: code)
    monkeypatch.setattr(terminal, "kept_parameters", dict)
    monkeypatch.setattr(terminal, "say", lines.append)
    monkeypatch.setattr(terminal, "complain", lines.append)

    def call(*words: str, **options: Any) -> int:
        given = {"dry_run": False, "images_alone": False, "check": False, "ask": False, **options}
        return release_plan("survey", words, context=running, **given)

    return call


def push(session: boto3.Session, *tags: str, repository: str = "survey") -> dict[str, str]:
    """Put an image with each tag into the repository; return their digests."""
    ecr = session.client("ecr")
    ecr.create_repository(repositoryName=repository)
    digests = {}
    for tag in tags:
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {"digest": tag}}
        )
        put = ecr.put_image(
            repositoryName=repository,
            imageManifest=manifest,
            imageTag=tag,
            imageManifestMediaType=MANIFEST,
        )
        digests[tag] = put["image"]["imageId"]["imageDigest"]
    return digests


def test_images_are_built_pushed_and_deployed_by_their_digests(
    release: Release, peers: Peers, running: StepContext
) -> None:
    assert release(*GIVEN) == 0
    builds = peers.asked("docker", "buildx", "build")
    assert [each[each.index("--target") + 1] for each in builds] == ["task", "worker"]
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    assert builds[0][builds[0].index("--tag") + 1] == f"{registry}/survey:task-0.1.0-abc-arm64"
    (login,) = peers.asked("docker", "login")
    assert login[-2] == registry
    assert login[-1], "the password comes by standard input"
    repository, stack = peers.asked("sam", "deploy")
    assert "repository.yaml" in repository
    assert f'TaskImageDigest="{TASK}"' in stack
    assert f'WorkerImageDigest="{WORKER}"' in stack
    assert 'ImageRepository="survey"' in stack
    assert 'AlertEmail="watch@example.org"' in stack
    assert peers.asked()[-1] == ["echodrop", "deploy", "--stack", "survey"]
    kept = json.loads((running.folder / ".echodrop/images.json").read_text())
    assert (kept["task"], kept["worker"], kept["version"]) == (TASK, WORKER, "0.1.0-abc")


def test_a_dry_run_runs_nothing_and_shows_every_command(
    release: Release, peers: Peers, lines: list[str]
) -> None:
    assert release(*GIVEN, dry_run=True, check=True) == 0
    # It only checks whether docker can build.
    assert not peers.asked("docker", "buildx", "build")
    assert not peers.asked("docker", "login")
    assert not peers.asked("sam")
    said = "\n".join(lines)
    for command in ("checks/run", "docker login", "sam build", "<task_digest>", "echodrop deploy"):
        assert command in said
    assert said.endswith("dry run: nothing was done")


def test_images_of_this_code_that_are_there_are_not_built_and_need_no_docker(
    release: Release, peers: Peers, session: boto3.Session
) -> None:
    digests = push(session, "task-0.1.0-abc-arm64", "worker-0.1.0-abc-arm64")
    (peers.folder / "docker").unlink()
    assert release(*GIVEN) == 0
    (stack,) = peers.asked("sam", "deploy")
    assert f'TaskImageDigest="{digests["task-0.1.0-abc-arm64"]}"' in stack
    assert f'WorkerImageDigest="{digests["worker-0.1.0-abc-arm64"]}"' in stack


def test_images_for_another_architecture_are_not_used(
    release: Release, peers: Peers, session: boto3.Session, lines: list[str]
) -> None:
    push(session, "task-0.1.0-abc-arm64", "worker-0.1.0-abc-arm64")
    assert release(*GIVEN, "CpuArchitecture=X86_64") == 2
    assert any("can't build for linux/amd64" in line for line in lines)
    assert not peers.asked("sam")


def test_a_missing_docker_engine_is_reported_before_the_first_step(
    release: Release, peers: Peers, lines: list[str]
) -> None:
    peers.put("docker", "#!/bin/sh\nexit 1\n")
    assert release(*GIVEN, images_alone=True) == 2
    assert any("docker has no engine here" in line for line in lines)
    assert lines[-1] == "nothing was done"
    assert not peers.asked("sam")


def test_no_image_is_built_from_a_tag(
    release: Release, peers: Peers, running: StepContext, lines: list[str]
) -> None:
    dockerfile = running.folder / "Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text().partition("@sha256:")[0] + "\nFROM ${PYTHON_IMAGE}\n"
    )
    assert release(images_alone=True) == 2
    assert any("by its tag" in line and "slim-bookworm" in line for line in lines)
    assert not peers.asked("docker", "buildx", "build")


def test_required_parameters_are_requested_before_the_first_step(
    release: Release, peers: Peers, lines: list[str]
) -> None:
    assert release() == 2
    said = "\n".join(lines)
    assert "AlertEmail is not given: E-mail address for alerts" in said
    assert "PrefectApiUrl is not given" in said
    assert not peers.asked("sam")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("AlertEmail=somebody", "AlertEmail"),
        ("VpcId=vpc-0123abcd", "needs SubnetIds"),
        ("NoSuch=1", "no such parameter"),
        ("TaskImageDigest=sha256:0", "TaskImageDigest"),
        ("AlertEmail", "NAME=VALUE"),
    ],
)
def test_parameters_that_cloudformation_would_refuse_are_refused_before_the_first_step(
    release: Release, peers: Peers, lines: list[str], word: str, said: str
) -> None:
    assert release(*GIVEN, word) == 2
    assert any(said in line for line in lines)
    assert not peers.asked("sam")


def test_a_stack_keeps_its_parameters(
    release: Release, peers: Peers, session: boto3.Session
) -> None:
    body = {
        "Parameters": {name: {"Type": "String"} for name in ("PrefectApiUrl", "AlertEmail")},
        "Resources": {"Any": {"Type": "AWS::SNS::Topic"}},
    }
    values: list[Any] = [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in (each.split("=") for each in GIVEN)
    ]
    session.client("cloudformation").create_stack(
        StackName="survey", TemplateBody=json.dumps(body), Parameters=values
    )
    assert release() == 0
    stack = peers.asked("sam", "deploy")[-1]
    # sam keeps the stack's value of a parameter that is not given.
    assert not any(word.startswith("AlertEmail") for word in stack)


def test_an_existing_repository_is_not_changed(
    release: Release, peers: Peers, session: boto3.Session, lines: list[str]
) -> None:
    push(session, "something", repository="shared/images")
    assert release(*GIVEN, "ImageRepository=shared/images") == 0
    assert len(peers.asked("sam", "deploy")) == 1
    assert any("was not made by a release" in line for line in lines)


def test_a_step_that_fails_ends_the_release(
    release: Release, peers: Peers, lines: list[str]
) -> None:
    peers.put("sam", '#!/bin/sh\n[ "$1" = build ] && exit 3\nexit 0\n')
    assert release(*GIVEN) == 1
    assert any("FAILED" in line and "sam ended with exit code 3" in line for line in lines)
    assert not peers.asked("echodrop")


def test_a_missing_digest_ends_the_release(
    release: Release, peers: Peers, lines: list[str]
) -> None:
    peers.put("docker", '#!/bin/sh\n[ "$2" = inspect ] && echo linux/arm64\nexit 0\n')
    assert release(*GIVEN) == 1
    assert any("wrote no digest" in line for line in lines)
    assert len(peers.asked("sam", "deploy")) == 1


def test_a_dry_run_needs_no_account(
    release: Release, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

        raise NoCredentialsError

    monkeypatch.setattr(terminal, "facts_of", refuse)
    assert release(*GIVEN, dry_run=True) == 2
    assert any("AWS does not answer" in line for line in lines)
    assert any("ACCOUNT.dkr.ecr.REGION.amazonaws.com/survey:task-" in line for line in lines)
    assert release(*GIVEN) == 2


def test_stored_answers_of_sam_are_read(tmp_path: Path) -> None:
    from release.parameters import kept_parameters  # noqa: PLC0415 - patched above

    config = tmp_path / "samconfig.toml"
    kept = 'AlertEmail=\\"a@b.org\\" OutputPrefix=\\"\\" TaskImageDigest=\\"sha256:0\\"'
    config.write_text(f'[default.deploy.parameters]\nparameter_overrides = "{kept}"\n')
    assert kept_parameters(config) == {"AlertEmail": "a@b.org", "OutputPrefix": ""}
    assert kept_parameters(tmp_path / "none.toml") == {}
