"""The plan of a release: builds and pushes both images, deploys a stack that runs this code, registers and verifies it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flows.deployment.stack_images import TARGETS, image_tag
from release.code_version import CodeVersion
from release.parameters import DIGESTS
from release.steps import Step, StepContext, StepFailedError, aws_call, program, run_program

PLATFORMS = {"ARM64": "linux/arm64", "X86_64": "linux/amd64"}
FOLDER = Path(".echodrop")
RECORD = FOLDER / "images.json"
REPOSITORY_TEMPLATE = "repository.yaml"
# IAM's error code if the role exists.
_ROLE_IS_THERE = frozenset({"InvalidInput"})


def repository_stack(stack: str) -> str:
    """Return the name of the stack that contains the image repository."""
    return f"{stack}-images"


@dataclass(frozen=True)
class ImageWork:
    """What is known before the images are built.

    Attributes:
        ours: whether the release makes and updates the repository.
        architecture: architecture of the tasks, `ARM64` or `X86_64`.
        pushed: digests of images that are already in the repository, by target.
    """

    stack: str
    registry: str
    repository: str
    ours: bool
    code: CodeVersion
    architecture: str
    pushed: Mapping[str, str] = field(default_factory=dict)

    def tag(self, target: str) -> str:
        """Return the tag of a target's image."""
        return image_tag(target, self.code.version, self.architecture)

    @property
    def missing(self) -> list[str]:
        """The targets that must be built."""
        return [target for target in TARGETS if target not in self.pushed]


def images_plan(work: ImageWork) -> list[Step]:
    """Return the steps that lead to two digests; images in the repository are not built again."""
    steps: list[Step] = []
    if work.ours:
        steps.append(
            program(
                "create or update the image repository",
                (
                    *("sam", "deploy", "--template-file", REPOSITORY_TEMPLATE),
                    *("--stack-name", repository_stack(work.stack)),
                    *("--s3-prefix", work.stack, "--no-confirm-changeset"),
                    *("--parameter-overrides", f"Repository={work.repository}"),
                ),
            )
        )
    if work.missing:
        steps.append(registry_login(work.registry))
    steps += [build_image(work, target) for target in work.missing]
    return [*steps, store_digests(work)]


def registry_login(registry: str) -> Step:
    """Log docker in to the account's registry, for twelve hours; the password is passed on stdin."""

    def run(context: StepContext) -> None:
        (data,) = context.client("ecr").get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        words = ("docker", "login", "--username", user, "--password-stdin", registry)
        run_program(words, context, typed=password)

    login = f"docker login --username AWS --password-stdin {registry}"
    shown = f"aws ecr get-login-password | {login}"
    return Step("log docker in to the registry", [shown], run)


def build_image(work: ImageWork, target: str) -> Step:
    """Build one target and push it; its digest is the result `<target>_digest`."""
    metadata = FOLDER / f"image-{target}.json"
    words = [
        *("docker", "buildx", "build", "--target", target),
        *("--platform", PLATFORMS[work.architecture]),
        # Without attestations the image is a single manifest, which ECR scans on push.
        *("--provenance=false", "--sbom=false", "--push"),
        *("--label", f"org.opencontainers.image.version={work.code.version}"),
    ]
    if work.code.revision:
        words += ["--label", f"org.opencontainers.image.revision={work.code.revision}"]
    words += ["--metadata-file", str(metadata)]
    words += ["--tag", f"{work.registry}/{work.repository}:{work.tag(target)}", "."]
    build = program(f"build and push the {target} image for {PLATFORMS[work.architecture]}", words)

    def run(context: StepContext) -> None:
        written = context.folder / metadata
        written.parent.mkdir(parents=True, exist_ok=True)
        written.unlink(missing_ok=True)
        build.run(context)
        try:
            digest = json.loads(written.read_text("utf-8"))["containerimage.digest"]
        except (OSError, ValueError, KeyError) as error:
            raise StepFailedError(f"buildx wrote no digest to {written}") from error
        context.results[f"{target}_digest"] = digest
        context.say(f"      {digest}")

    return replace(build, run=run)


def store_digests(work: ImageWork) -> Step:
    """Store the digests of this version, and add those of images that are not built to the results."""

    def run(context: StepContext) -> None:
        for target, digest in work.pushed.items():
            context.results[f"{target}_digest"] = digest
        record = {
            "version": work.code.version,
            "revision": work.code.revision,
            "repository": f"{work.registry}/{work.repository}",
            "architecture": work.architecture,
            **{target: context.results[f"{target}_digest"] for target in TARGETS},
        }
        path = context.folder / RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")

    shown = [
        f"{work.tag(target)} is in the repository: {digest}"
        for target, digest in work.pushed.items()
    ]
    return Step(f"store the digests in {RECORD}", shown, run)


def quoted(name: str, value: str) -> str:
    """Quote a parameter for sam, which otherwise rejects empty values and blanks."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def deploy_plan(
    work: ImageWork, parameters: Mapping[str, str], *, ask: bool, check: bool
) -> list[Step]:
    """Return the steps of a release.

    Parameters that are not given keep the stack's values. If `ask`, sam shows the changes and
    asks for confirmation.
    """
    stack = work.stack
    overrides = {
        **parameters,
        "ImageRepository": work.repository,
        **{name: f"{{{result}}}" for name, result in DIGESTS.items()},
    }
    steps: list[Step] = []
    if check:
        steps.append(program("check the template, its policies and the code", ("checks/run",)))
    steps += images_plan(work)
    return [
        *steps,
        aws_call(
            "create the service-linked role of ECS, which a new account lacks",
            "iam",
            "create_service_linked_role",
            {"AWSServiceName": "ecs.amazonaws.com"},
            done_already=_ROLE_IS_THERE,
        ),
        program("build the two functions", ("sam", "build")),
        program(
            f"create or update the stack {stack}",
            (
                *("sam", "deploy", "--stack-name", stack, "--s3-prefix", stack),
                "--confirm-changeset" if ask else "--no-confirm-changeset",
                *(
                    "--parameter-overrides",
                    *(quoted(name, value) for name, value in overrides.items()),
                ),
            ),
            remedy=(
                "CloudFormation's events above name the resource. A first deployment that failed is"
                f" ROLLBACK_COMPLETE: aws cloudformation delete-stack --stack-name {stack}, then retry"
            ),
        ),
        program(
            "register with Prefect, and verify",
            ("echodrop", "deploy", "--stack", stack),
            remedy="each MISSING line has a remedy below it; then repeat this command",
        ),
    ]
