"""Checks that a Dockerfile names all images by digest, and writes the digests into it.

    python -m release.base_images    # needs docker; part of `make lock`

The image of a tag can change; the image of a digest can't.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from release.code_version import DOCKERFILE, ROOT

# An image, and the name of the stage that is made from it. A name that begins with $ is an ARG's.
_NAMED = re.compile(
    r"^(?:ARG\s+\w+=(?=\S*:)|FROM\s+(?:--\S+\s+)?|COPY\s.*?--from=|#\s*syntax=)(\S+)"
    r"(?:\s+AS\s+(\S+))?",
    re.MULTILINE | re.IGNORECASE,
)
_PINNED = re.compile(r"@sha256:[0-9a-f]{64}$")


def foreign_images(dockerfile: str) -> list[str]:
    """Return every external image of a build; arguments hold images whole."""
    named = _NAMED.findall(dockerfile)
    stages = {"scratch", *(stage for _, stage in named)}
    return list(
        dict.fromkeys(image for image, _ in named if image not in stages and image[0] != "$")
    )


def unpinned(dockerfile: str) -> list[str]:
    """Return the images that are named by a tag alone."""
    return [image for image in foreign_images(dockerfile) if not _PINNED.search(image)]


def pinned(dockerfile: str, digest_of: Callable[[str], str]) -> str:
    """Return the Dockerfile with the current digest after each tag."""
    for image in foreign_images(dockerfile):
        tag = image.partition("@")[0]
        dockerfile = dockerfile.replace(image, f"{tag}@{digest_of(tag)}")
    return dockerfile


def registry_digest(tag: str) -> str:
    """Ask the registry for the digest of a tag's index, which covers all architectures.

    Raises:
        CalledProcessError: docker or the registry refused.
    """
    words = ["docker", "buildx", "imagetools", "inspect", tag, "--format", "{{.Manifest.Digest}}"]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def main(path: Path = ROOT / DOCKERFILE) -> int:
    """Write the current digests; return 1 if docker is missing or fails."""
    if shutil.which("docker") is None:
        sys.stderr.write(f"{path.name}: base images are unchanged, because docker is missing\n")
        return 1
    try:
        path.write_text(pinned(path.read_text("utf-8"), registry_digest), "utf-8")
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{path.name}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
