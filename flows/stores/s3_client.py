"""A boto3 S3 client from fsspec-style storage options.

The options are those that `xarray` and `echopype` users already pass to s3fs, so that
one dictionary works for both.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import botocore
from botocore.exceptions import BotoCoreError

from flows.core.locations import S3Location
from flows.stores.object_store import ObjectStore
from flows.stores.parallel_requests import CONNECTIONS, stop_when_cancelled

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
# Arguments of `boto3.Session.client` that JSON can express and that have no other option.
_CLIENT_SETTINGS = frozenset(
    {"region_name", "endpoint_url", "use_ssl", "verify", "api_version"}
    | {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
)


def s3_client(options: dict[str, Any]) -> S3Client:
    """The client for these options; a process has one for each set of options, shared by threads.

    Without options, credentials, region and endpoint come from the usual places of the
    AWS SDKs. With `anon=True` requests are not signed.

    Raises:
        ValueError: see `check_options`.
    """
    check_options(options)
    return _client(json.dumps(options, sort_keys=True), _environment())


def store_of(location: S3Location, options: dict[str, Any]) -> ObjectStore:
    """The bucket of a location, through the client for these options; errors as for `s3_client`."""
    return ObjectStore(s3_client(options), location.bucket)


def _environment() -> tuple[str | None, ...]:
    """What a client without options takes from the environment, as its commands may change it."""
    names = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_ACCESS_KEY_ID")
    return tuple(os.environ.get(name) for name in names)


def check_options(options: Mapping[str, Any]) -> None:
    """Check that a client can be made from these options.

    Raises:
        ValueError: an option is not supported, or a value is invalid. The message has
            no values, because some are secret.
    """
    unknown = sorted(set(options) - set(_OPTION_TYPES))
    if unknown:
        raise ValueError(
            f"unknown storage options {unknown} for S3; known: {sorted(_OPTION_TYPES)}"
        )
    for name, value in options.items():
        if value is not None and not isinstance(value, _OPTION_TYPES[name]):
            raise ValueError(f"storage option {name} is not of type {_OPTION_TYPES[name].__name__}")
    settings = options.get("client_kwargs") or {}
    if unknown := sorted(set(settings) - _CLIENT_SETTINGS):
        raise ValueError(f"unknown client_kwargs {unknown}; known: {sorted(_CLIENT_SETTINGS)}")
    try:
        _client(json.dumps(dict(options), sort_keys=True), _environment())
    except (TypeError, ValueError, AttributeError, BotoCoreError) as error:
        raise ValueError(f"storage options: {error}") from error


@functools.lru_cache(maxsize=16)
def _client(options_json: str, _made_in: tuple[str | None, ...]) -> S3Client:
    # What is only local does without, and its import takes 0.1 s.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.handlers import add_expect_header  # noqa: PLC0415

    options = json.loads(options_json)
    settings = dict(options.get("client_kwargs") or {})
    if endpoint := options.get("endpoint_url"):
        settings["endpoint_url"] = endpoint
    config = Config(
        max_pool_connections=CONNECTIONS,
        # The SDK's own retries: 5xx, SlowDown, resets and time-outs, with
        # exponential back-off, jitter and a budget over the whole client.
        retries={"mode": "standard", "total_max_attempts": 8},
        # Otherwise the SDK builds this header again for each request, which takes a fifth of a
        # put's processor time.
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
    # Any region will do for an endpoint, or for a redirect to the bucket's region; the SDK's
    # default partition has this one.
    region = session.region_name or "us-east-1"
    client: S3Client = session.client("s3", region_name=region, config=config, **settings)
    # The SDK asks before each put whether it may send the body (100-continue). For small objects
    # this second round trip doubles the time.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    stop_when_cancelled(client)
    return client
