"""Build both images, push them into the stack's repository, and keep their digests."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from flows.stack_images import TARGETS, image_tag
from release.code_version import CodeVersion
from release.steps import Program, Running, Step, StepFailedError, run_program

PLATFORMS = {"ARM64": "linux/arm64", "X86_64": "linux/amd64"}
FOLDER = Path(".echodrop")
RECORD = FOLDER / "images.json"
REPOSITORY_TEMPLATE = "repository.yaml"


def repository_stack(stack: str) -> str:
    """Return the name of the small stack that holds a stack's image repository."""
    return f"{stack}-images"


@dataclass(frozen=True)
class ImageWork:
    """What is known before images are built.

    Attributes:
        stack: the stack that they are for.
        registry: its host.
        repository: its name in the registry.
        ours: whether the repository is the release's to make and keep as it should be.
        code: the version that they hold.
        architecture: of the stack's tasks, `ARM64` or `X86_64`.
        pushed: digests of those that are in the repository already, by target.
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
        """The targets that have to be built."""
        return [target for target in TARGETS if target not in self.pushed]


def images_plan(work: ImageWork) -> list[Step]:
    """Return the steps from the code to two digests; none builds what is in the repository already."""
    steps: list[Step] = []
    if work.ours:
        steps.append(
            Program(
                "make the image repository, or bring it to its template",
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
        """Return the login by AWS's own command line."""
        login = f"docker login --username AWS --password-stdin {self.registry}"
        return [f"aws ecr get-login-password | {login}"]

    def run(self, running: Running) -> None:
        """Ask ECR for a password and hand it to docker, on no command line."""
        try:
            (data,) = running.client("ecr").get_authorization_token()["authorizationData"]
        except ClientError as error:
            raise StepFailedError(self.title, str(error)) from error
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        words = ("docker", "login", "--username", user, "--password-stdin", self.registry)
        run_program(self.title, words, running, typed=password)


@dataclass(frozen=True)
class BuildImage:
    """Build one target and push it; its digest is the result `<target>_digest`."""

    work: ImageWork
    target: str

    @property
    def title(self) -> str:
        """Which image, for which processor."""
        return f"build and push the {self.target}'s image for {PLATFORMS[self.work.architecture]}"

    @property
    def metadata(self) -> Path:
        """Where buildx writes what it pushed."""
        return FOLDER / f"image-{self.target}.json"

    def _program(self) -> Program:
        work = self.work
        words = [
            *("docker", "buildx", "build", "--target", self.target),
            *("--platform", PLATFORMS[work.architecture]),
            # Without an attestation beside it the image is one manifest, which ECR scans on push.
            *("--provenance=false", "--sbom=false", "--push"),
            *("--label", f"org.opencontainers.image.version={work.code.version}"),
        ]
        if work.code.revision:
            words += ["--label", f"org.opencontainers.image.revision={work.code.revision}"]
        words += ["--metadata-file", str(self.metadata)]
        words += ["--tag", f"{work.registry}/{work.repository}:{work.tag(self.target)}", "."]
        return Program(self.title, tuple(words))

    def shown(self) -> list[str]:
        """Return buildx's command line."""
        return self._program().shown()

    def run(self, running: Running) -> None:
        """Build, push, and read the digest that the registry answered."""
        written = running.folder / self.metadata
        written.parent.mkdir(parents=True, exist_ok=True)
        written.unlink(missing_ok=True)
        self._program().run(running)
        try:
            digest = json.loads(written.read_text("utf-8"))["containerimage.digest"]
        except (OSError, ValueError, KeyError) as error:
            raise StepFailedError(self.title, f"buildx wrote no digest to {written}") from error
        running.results[f"{self.target}_digest"] = digest
        running.say(f"      {digest}")


@dataclass(frozen=True)
class KeepDigests:
    """Write down which digests are this version's."""

    work: ImageWork
    title: str = f"keep the digests in {RECORD}"

    def shown(self) -> list[str]:
        """Return a line for each image that need not be built."""
        return [
            f"{self.work.tag(target)} is in the repository: {digest}"
            for target, digest in self.work.pushed.items()
        ]

    def run(self, running: Running) -> None:
        """Write the record; the digests are results from here on."""
        for target, digest in self.work.pushed.items():
            running.results[f"{target}_digest"] = digest
        record = {
            "version": self.work.code.version,
            "revision": self.work.code.revision,
            "repository": f"{self.work.registry}/{self.work.repository}",
            "architecture": self.work.architecture,
            **{target: running.results[f"{target}_digest"] for target in TARGETS},
        }
        path = running.folder / RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
