"""A boto3 S3 client from fsspec-style storage options.

The options are those that `xarray` and `echopype` users already pass to s3fs,
so that one dictionary reads and writes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.handlers import add_expect_header

from flows.parallel_requests import CONNECTIONS, heed_giving_up

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client


_OPTION_TYPES: Mapping[str, type] = {
    "key": str,
    "secret": str,
    "token": str,
    "anon": bool,
    "endpoint_url": str,
    "profile": str,
    "client_kwargs": dict,
    "config_kwargs": dict,
}
# Of `boto3.Session.client`, what JSON can say and no other option does.
_CLIENT_SETTINGS = frozenset(
    {"region_name", "endpoint_url", "use_ssl", "verify", "api_version"}
    | {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
)


def s3_client(options: dict[str, Any]) -> S3Client:
    """The client for these options; one per distinct options in a process, shared by threads.

    Without options, credentials, region and endpoint come from where the AWS
    SDKs look for them. `anon=True` signs nothing.

    Raises:
        ValueError: see `check_options`.
    """
    check_options(options)
    return _client(json.dumps(options, sort_keys=True))


def check_options(options: Mapping[str, Any]) -> None:
    """Pass options that a client can be made from.

    Raises:
        ValueError: an option that s3fs has and this does not, or none has; or a
            value that is none. Values are not told: some are secret.
    """
    unknown = sorted(set(options) - set(_OPTION_TYPES))
    if unknown:
        raise ValueError(
            f"storage options {unknown} are not known for S3; known are {sorted(_OPTION_TYPES)}"
        )
    for name, value in options.items():
        if value is not None and not isinstance(value, _OPTION_TYPES[name]):
            raise ValueError(f"storage option {name} is no {_OPTION_TYPES[name].__name__}")
    settings = options.get("client_kwargs") or {}
    if unknown := sorted(set(settings) - _CLIENT_SETTINGS):
        raise ValueError(
            f"client_kwargs {unknown} are not known; known are {sorted(_CLIENT_SETTINGS)}"
        )
    try:
        _client(json.dumps(dict(options), sort_keys=True))
    except (TypeError, ValueError, AttributeError, BotoCoreError) as error:
        raise ValueError(f"storage options: {error}") from error


@functools.lru_cache(maxsize=16)
def _client(options_json: str) -> S3Client:
    options = json.loads(options_json)
    settings = dict(options.get("client_kwargs") or {})
    if endpoint := options.get("endpoint_url"):
        settings["endpoint_url"] = endpoint
    config = Config(
        max_pool_connections=CONNECTIONS,
        # The SDK's own retries: 5xx, SlowDown, resets and time-outs, with
        # exponential back-off, jitter and a budget over the whole client.
        retries={"mode": "standard", "total_max_attempts": 8},
        # Left to itself the SDK puts this header together anew for each request,
        # at a fifth of what a put costs in processor time.
        user_agent=f"echodrop/{metadata.version('echodrop')}",
        connect_timeout=10,
        read_timeout=60,
    )
    if extra := options.get("config_kwargs"):
        config = config.merge(Config(**extra))
    if options.get("anon"):
        config = config.merge(Config(signature_version=botocore.UNSIGNED))
    session = boto3.Session(
        aws_access_key_id=options.get("key"),
        aws_secret_access_key=options.get("secret"),
        aws_session_token=options.get("token"),
        profile_name=options.get("profile"),
        region_name=settings.pop("region_name", None),
    )
    # A named region is not needed to talk to S3 through an endpoint or to be
    # redirected to the bucket's own; the SDK's default partition has this one.
    region = session.region_name or "us-east-1"
    client: S3Client = session.client("s3", region_name=region, config=config, **settings)
    # The SDK asks before each put whether it may send the body (100-continue):
    # a second round trip, which small objects pay in full.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    heed_giving_up(client)
    return client
