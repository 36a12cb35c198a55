"""In AWS the worker is there before its pool: it waits for it, and `echodrop deploy` for the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.deployment.stack_deployment import deploy
from sandbox.parts.environments import prefect_environment
from sandbox.parts.waiting import wait_until
from tests.contract.deployment.account import POOL, STACK, Account

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")


def test_a_worker_that_is_there_first_finds_the_pool_and_is_waited_for(
    account: Account, prefect_api: Callable[..., Any], prefect_api_url: str, tmp_path: Path
) -> None:
    account.want_worker()
    account.notifications = {"EventBridgeConfiguration": {}}
    with account.worker(tmp_path, prefect_environment(tmp_path, prefect_api_url)) as log:
        wait_until(lambda: "not found" in log(), 120, "the worker to miss its pool")
        assert POOL not in {pool["name"] for pool in prefect_api("POST", "/work_pools/filter", {})}
        good, said = account.deploy()
    assert good, said
    assert "ok       worker\n" in said


def test_a_worker_that_comes_a_little_later_is_waited_for(
    account: Account, prefect_api: Callable[..., Any]
) -> None:
    account.want_worker()
    account.notifications = {"EventBridgeConfiguration": {}}
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("waiting for a worker to find the new pool: "):
            prefect_api("POST", f"/work_pools/{POOL}/workers/heartbeat", {"name": "worker"})

    assert deploy(account.client, STACK, say), lines
    assert any(line.startswith("waiting") for line in lines)


def test_a_worker_that_never_comes_is_waited_for_no_longer_than_said(account: Account) -> None:
    account.want_worker()
    began = time.monotonic()
    good, said = account.deploy(patience=1.5)
    assert not good
    assert time.monotonic() - began > 1.5
    assert f"MISSING  worker: no worker has ever polled {POOL}" in said
    # The pool is not new any more: it is looked at, and not waited for.
    _, said = account.deploy()
    assert "waiting" not in said
