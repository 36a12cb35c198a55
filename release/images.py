"""Builds both images, pushes them into the stack's repository, and stores their digests."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from flows.deployment.stack_images import TARGETS, image_tag
from release.code_version import CodeVersion
from release.steps import Program, Step, StepContext, StepFailedError, run_program

PLATFORMS = {"ARM64": "linux/arm64", "X86_64": "linux/amd64"}
FOLDER = Path(".echodrop")
RECORD = FOLDER / "images.json"
REPOSITORY_TEMPLATE = "repository.yaml"


def repository_stack(stack: str) -> str:
    """Return the name of the stack that contains the image repository."""
    return f"{stack}-images"


@dataclass(frozen=True)
class ImageWork:
    """What is known before the images are built.

    Attributes:
        stack: the stack that the images are for.
        registry: host name of the registry.
        repository: name of the repository in the registry.
        ours: whether the release makes and updates the repository.
        code: the version of the code.
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
            Program(
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
        steps.append(RegistryLogin(work.registry))
    steps += [BuildImage(work, target) for target in work.missing]
    return [*steps, KeepDigests(work)]


@dataclass(frozen=True)
class RegistryLogin:
    """Log docker in to the account's registry, for twelve hours."""

    registry: str
    title: str = "log docker in to the registry"

    def shown(self) -> list[str]:
        """Return the login as a command line."""
        login = f"docker login --username AWS --password-stdin {self.registry}"
        return [f"aws ecr get-login-password | {login}"]

    def run(self, context: StepContext) -> None:
        """Get a password from ECR and pass it to docker on stdin."""
        try:
            (data,) = context.client("ecr").get_authorization_token()["authorizationData"]
        except ClientError as error:
            raise StepFailedError(self.title, str(error)) from error
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        words = ("docker", "login", "--username", user, "--password-stdin", self.registry)
        run_program(self.title, words, context, typed=password)


@dataclass(frozen=True)
class BuildImage:
    """Build one target and push it; its digest is the result `<target>_digest`."""

    work: ImageWork
    target: str

    @property
    def title(self) -> str:
        """Which image is built, for which platform."""
        return f"build and push the {self.target} image for {PLATFORMS[self.work.architecture]}"

    @property
    def metadata(self) -> Path:
        """The file in which buildx writes the digest."""
        return FOLDER / f"image-{self.target}.json"

    def _program(self) -> Program:
        work = self.work
        words = [
            *("docker", "buildx", "build", "--target", self.target),
            *("--platform", PLATFORMS[work.architecture]),
            # Without attestations the image is a single manifest, which ECR scans on push.
            *("--provenance=false", "--sbom=false", "--push"),
            *("--label", f"org.opencontainers.image.version={work.code.version}"),
        ]
        if work.code.revision:
            words += ["--label", f"org.opencontainers.image.revision={work.code.revision}"]
        words += ["--metadata-file", str(self.metadata)]
        words += ["--tag", f"{work.registry}/{work.repository}:{work.tag(self.target)}", "."]
        return Program(self.title, tuple(words))

    def shown(self) -> list[str]:
        """Return the command line of buildx."""
        return self._program().shown()

    def run(self, context: StepContext) -> None:
        """Build and push the image, and read its digest."""
        written = context.folder / self.metadata
        written.parent.mkdir(parents=True, exist_ok=True)
        written.unlink(missing_ok=True)
        self._program().run(context)
        try:
            digest = json.loads(written.read_text("utf-8"))["containerimage.digest"]
        except (OSError, ValueError, KeyError) as error:
            raise StepFailedError(self.title, f"buildx wrote no digest to {written}") from error
        context.results[f"{self.target}_digest"] = digest
        context.say(f"      {digest}")


@dataclass(frozen=True)
class KeepDigests:
    """Store the digests of this version."""

    work: ImageWork
    title: str = f"store the digests in {RECORD}"

    def shown(self) -> list[str]:
        """Return a line for each image that is not built."""
        return [
            f"{self.work.tag(target)} is in the repository: {digest}"
            for target, digest in self.work.pushed.items()
        ]

    def run(self, context: StepContext) -> None:
        """Write the record, and add the digests to the results."""
        for target, digest in self.work.pushed.items():
            context.results[f"{target}_digest"] = digest
        record = {
            "version": self.work.code.version,
            "revision": self.work.code.revision,
            "repository": f"{self.work.registry}/{self.work.repository}",
            "architecture": self.work.architecture,
            **{target: context.results[f"{target}_digest"] for target in TARGETS},
        }
        path = context.folder / RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
