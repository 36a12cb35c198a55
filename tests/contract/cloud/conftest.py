"""A stand-in for Prefect Cloud, and a stack registered with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from prefect.settings import (
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLOUD_API_URL,
    temporary_settings,
)

from tests.cloud.prefect_cloud import KEY, PrefectCloud, prefect_cloud
from tests.contract.deployment.account import Account


@pytest.fixture(scope="module")
def cloud(prefect_api_url: str) -> Iterator[PrefectCloud]:
    port = urlsplit(prefect_api_url).port
    assert port is not None
    with prefect_cloud(port) as running:
        settings = {
            PREFECT_CLOUD_API_URL: running.cloud_url,
            PREFECT_API_URL: running.url,
            PREFECT_API_KEY: KEY,
        }
        with temporary_settings(settings):
            yield running


@pytest.fixture(autouse=True)
def _whole_quota(cloud: PrefectCloud) -> Iterator[None]:
    yield
    cloud.throttle = lambda _call: None


@pytest.fixture
def account(
    cloud: PrefectCloud, prefect_api: Callable[..., Any], session: boto3.Session
) -> Account:
    del prefect_api  # what a test registers goes with the module
    return Account(cloud.url)
