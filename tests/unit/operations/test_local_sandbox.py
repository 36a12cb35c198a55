"""The commands find a running sandbox, unless the operator names an account, a server or a stack."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from operations.clients.stack_settings import LOCAL, SettingMissingError, use_sandbox

ENVIRONMENT = {"ECHODROP_STACK": "sandbox", "PREFECT_API_URL": "http://127.0.0.1:1/api"}


def describe(folder: Path, pid: int, **more: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sandbox.json").write_text(json.dumps({"pid": pid, **more}))
    return folder


def test_a_running_sandbox_is_used_unless_something_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, str] = {"AWS_CA_BUNDLE": "/certificates"}
    assert use_sandbox(None, found) is None
    describe(LOCAL, os.getpid(), environment=ENVIRONMENT)
    assert use_sandbox(None, found) == LOCAL
    assert found == {"AWS_CA_BUNDLE": "/certificates", **ENVIRONMENT}
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "PREFECT_API_URL", "ECHODROP_STACK"):
        variables = {name: "the operator's"}
        assert use_sandbox(None, variables) is None
        assert variables == {name: "the operator's"}


def test_a_named_sandbox_comes_first_and_must_be_running(tmp_path: Path) -> None:
    running = describe(tmp_path / "running", os.getpid(), environment=ENVIRONMENT)
    variables = {"AWS_PROFILE": "field", "PREFECT_API_URL": "https://elsewhere/api"}
    assert use_sandbox(running, variables) == running
    # An operator's profile would win over the sandbox's keys.
    assert variables == ENVIRONMENT
    # Ended by SIGKILL; still starting; never started.
    describe(tmp_path / "dead", 2**22 + 1, environment=ENVIRONMENT)
    describe(tmp_path / "starting", os.getpid())
    for folder in (tmp_path / "dead", tmp_path / "starting", tmp_path / "none"):
        with pytest.raises(SettingMissingError, match="no sandbox is running on"):
            use_sandbox(folder, {})
