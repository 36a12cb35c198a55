"""The version of the code in an image: the package's version, and a digest of the image's files.

A commit that changes no file of the image keeps the version, so nothing is built again.
"""

from __future__ import annotations

import hashlib
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = "Dockerfile"
_DIGITS = 12


@dataclass(frozen=True)
class CodeVersion:
    """`version` is part of the images' tags; `revision` is the git commit, or empty."""

    version: str
    revision: str


def code_version(root: Path = ROOT) -> CodeVersion | None:
    """Return the version of a checkout; None without its files, as in an installed wheel."""
    if not (root / DOCKERFILE).is_file():
        return None
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    digest = hashlib.sha256()
    for path in sorted(image_files(root)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return CodeVersion(f"{project['version']}-{digest.hexdigest()[:_DIGITS]}", _revision(root))


def image_files(root: Path = ROOT) -> Iterator[Path]:
    """Yield every file that an image is made of: the Dockerfile and its build context."""
    yield root / DOCKERFILE
    for line in (root / ".dockerignore").read_text("utf-8").splitlines():
        if not line.startswith("!"):
            continue
        place = root / line[1:]
        inside = place.rglob("*") if place.is_dir() else [place]
        yield from (each for each in inside if each.is_file() and "__pycache__" not in each.parts)


def _revision(root: Path) -> str:
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}-changed" if changed else commit


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()
