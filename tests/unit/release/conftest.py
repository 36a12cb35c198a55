"""Fixtures: a checkout, an account in moto, and fake docker and sam that record their arguments."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from release.code_version import ROOT
from release.steps import StepContext

# Each answers like the real program and records its arguments; docker has an engine for arm64.
PEER = """#!{python}
import json, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, *words, *([sys.stdin.read()] if "--password-stdin" in words else [])]) + "\\n")
if {name!r} == "docker":
    if words[:2] == ["buildx", "inspect"]:
        print("Platforms: linux/arm64, linux/arm/v7")
    if words[:2] == ["buildx", "build"]:
        digit = "a" if words[words.index("--target") + 1] == "task" else "b"
        with open(words[words.index("--metadata-file") + 1], "w") as metadata:
            json.dump({{"containerimage.digest": "sha256:" + digit * 64}}, metadata)
"""


class Peers:
    """Programs on PATH that record their arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self.log = folder / "asked"
        for name in ("docker", "sam", "echodrop"):
            self.put(name, PEER.format(python=sys.executable, log=str(self.log), name=name))

    def put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def asked(self, *first: str) -> list[list[str]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if call[: len(first)] == list(first)]


@pytest.fixture
def peers(tmp_path: Path) -> Peers:
    return Peers(tmp_path)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def running(tmp_path: Path, session: boto3.Session, peers: Peers, lines: list[str]) -> StepContext:
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Dockerfile", folder / "Dockerfile")
    client: Any = session.client
    environment = {"PATH": str(peers.folder)}
    return StepContext(client, lines.append, environment=environment, folder=folder)
