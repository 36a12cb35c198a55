"""README's commands for operators run as written beside a running system, which they find by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox
from tests.pages_of_docs import blocks_of, commands_of
from tests.sandbox_inbox import SandboxInbox

pytestmark = [pytest.mark.xdist_group("sandbox"), pytest.mark.slow]

# They serve until Ctrl-C, or need an account.
ENDLESS_OR_DEPLOYED = ("make deploy", "echodrop gallery --open")


def operators_commands() -> list[str]:
    (block,) = [each for each in blocks_of("README.md") if "echodrop status" in each["text"]]
    commands = [command for command, _ in commands_of(block["text"])]
    assert set(ENDLESS_OR_DEPLOYED) < set(commands)
    return [command for command in commands if command not in ENDLESS_OR_DEPLOYED]


def test_the_commands_of_the_readme_run_in_the_sandbox(
    sandbox: Sandbox, inbox: SandboxInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = write_sample(tmp_path / "a.raw", pings=20, channels=(38_000,), samples=200).path
    # The page's buckets are `inbox` and `archive`; a backfill of the inbox's own files is allowed.
    real = {
        "s3://inbox/cruise/a.raw": inbox.uri("readme/a.raw"),
        "s3://archive/2007/": inbox.uri("readme/"),
    }
    inbox.drop(sample, "readme/a.raw")
    (end,) = inbox.wait_for_ends(["readme/a.raw"], 180).values()
    assert end.state_name == "Completed"
    (tmp_path / ".echodrop").mkdir()
    (tmp_path / ".echodrop/up").symlink_to(sandbox.state.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for command in operators_commands():
        line = command
        for shown, there in real.items():
            line = line.replace(shown, there)
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        # 1: uploads of other tests need attention. 2 would be a wrong use or a service that fails.
        assert done.returncode in {0, 1}, f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"
        if line.startswith(("echodrop status s3", "echodrop rules explain")):
            assert inbox.uri("readme/a.raw") in done.stdout
            assert done.returncode == 0, done.stdout
