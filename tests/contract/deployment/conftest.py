"""A stack to register, and a server that forgets it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from tests.contract.deployment.account import POOL, Account


@pytest.fixture
def account(
    prefect_api_url: str, prefect_api: Callable[..., Any], session: boto3.Session
) -> Iterator[Account]:
    yield Account(prefect_api_url)
    for pool in prefect_api("POST", "/work_pools/filter", {}):
        if pool["name"] == POOL:
            prefect_api("DELETE", f"/work_pools/{POOL}")
    for deployment in prefect_api("POST", "/deployments/filter", {}):
        if deployment["name"] in {"ecs", "whole"} and deployment["work_pool_name"] in {POOL, None}:
            prefect_api("DELETE", f"/deployments/{deployment['id']}")
