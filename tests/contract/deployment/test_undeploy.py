"""Taking a stack's side of Prefect away, with a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from release.removal_steps import delete_prefect_objects, pause_pool
from release.steps import StepContext, StepFailedError
from sandbox.parts.ports import HOST, free_port
from tests.contract.deployment.account import POOL, Account
from tests.contract.deployment.blocks import make_webhook_block

pytestmark = pytest.mark.xdist_group("prefect-server")


@pytest.fixture
def block(prefect_api: Callable[..., Any]) -> Iterator[str]:
    made = make_webhook_block(prefect_api, "removed", f"http://{HOST}:9/")
    yield "webhook/removed"
    prefect_api("DELETE", f"/block_documents/{made}")


@pytest.fixture
def running() -> StepContext:
    client: Any = boto3.client
    return StepContext(client, lambda _: None)


def names(prefect_api: Callable[..., Any], kind: str) -> set[str]:
    return {each["name"] for each in prefect_api("POST", f"/{kind}/filter", {})}


def test_pool_deployments_and_automations_go_and_others_stay(
    account: Account,
    prefect_api: Callable[..., Any],
    prefect_api_url: str,
    block: str,
    running: StepContext,
) -> None:
    account.update(NotifyBlock=block)
    account.deploy()
    prefect_api("POST", "/work_pools/", {"name": "somebody-else", "type": "process"})
    try:
        assert names(prefect_api, "automations")
        pause_pool(prefect_api_url, POOL).run(running)
        assert prefect_api("GET", f"/work_pools/{POOL}")["is_paused"]
        for _ in ("once", "again, quietly"):
            delete_prefect_objects(prefect_api_url, POOL).run(running)
            pause_pool(prefect_api_url, POOL).run(running)
            assert POOL not in names(prefect_api, "work_pools")
        assert "somebody-else" in names(prefect_api, "work_pools")
        left = prefect_api("POST", "/deployments/filter", {})
        assert not [each for each in left if each["work_pool_name"] in {POOL, None}]
        assert not names(prefect_api, "automations")
    finally:
        prefect_api("DELETE", "/work_pools/somebody-else")


def test_a_server_that_does_not_answer_is_named_with_the_way_round_it(running: StepContext) -> None:
    url = f"http://{HOST}:{free_port()}/api"
    with pytest.raises(StepFailedError) as failed:
        pause_pool(url, POOL).run(running)
    assert url in failed.value.reason
    assert "--no-prefect" in failed.value.remedy
