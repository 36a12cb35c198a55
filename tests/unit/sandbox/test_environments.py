"""The user's account settings do not reach the sandbox."""

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from sandbox.parts.environments import aws_environment, container_environment, system_environment
from sandbox.parts.ports import HOST, free_port, is_free

SECRETS = {
    "AWS_PROFILE": "production",
    "AWS_SESSION_TOKEN": "token",
    "PREFECT_API_KEY": "key",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql://secret",
    "ECHODROP_RULES_PARAMETER": "/real/rules",
}


def test_the_users_aws_and_prefect_settings_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_PASSWORD", "hush")
    assert SECRETS.keys().isdisjoint(system_environment())
    assert not {*SECRETS, "DATABASE_PASSWORD"} & container_environment().keys()


def test_prefect_and_python_are_those_of_this_interpreter() -> None:
    path = container_environment()["PATH"]
    for program in ("python", "prefect"):
        found = shutil.which(program, path=path)
        assert found is not None
        assert Path(found).parent == Path(sys.executable).parent


def test_aws_sdks_use_the_endpoint_and_read_no_files() -> None:
    environment = aws_environment("http://127.0.0.1:1")
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert environment["AWS_CONFIG_FILE"] == os.devnull


def test_a_server_can_listen_on_a_free_port() -> None:
    port = free_port()
    assert is_free(port)
    with socket.socket() as server:
        server.bind((HOST, port))
        server.listen()
        assert not is_free(port)
