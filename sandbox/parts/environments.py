"""Environment variables of the sandbox's parts.

The user's own AWS and Prefect settings are removed: with a real key or profile, a
test would send requests to a real account.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"

_REMOVED_PREFIXES = ("AWS_", "PREFECT_", "ECHODROP_", "MOTO_", "POWERTOOLS_", "LAMBDA_")


def system_environment() -> dict[str, str]:
    """Return this process's environment without AWS's, Prefect's or echodrop's variables."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(_REMOVED_PREFIXES)
    }
    # `python` and `prefect` are those of this interpreter.
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    environment["PATH"] = os.pathsep.join(folders)
    environment["PYTHONUNBUFFERED"] = "1"
    # Requests to the sandbox's own servers must not go through a proxy.
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1,localhost"
    return environment


def container_environment() -> dict[str, str]:
    """Return a task's variables as an image sets them: PATH and locale, no host settings."""
    kept = {"HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "TZ"}
    kept |= {"PATH", "PYTHONUNBUFFERED", "NO_PROXY", "no_proxy"}
    given = {name: value for name, value in system_environment().items() if name in kept}
    # The image sets this too: it adds the flow's warnings to the run's log.
    return {**given, "PREFECT_LOGGING_EXTRA_LOGGERS": "flows"}


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """Return the variables that direct every AWS SDK to the sandbox's moto."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def aws_clients(endpoint_url: str) -> Callable[[str], Any]:
    """Return what returns a boto3 client of the sandbox's moto by its service."""
    keys, config = aws_environment(endpoint_url), Config(max_pool_connections=64)
    credentials = (keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])

    @functools.cache
    def client(service: Any) -> Any:  # noqa: ANN401 - a boto3 client
        # A session of its own, because threads may ask at the same time.
        session = boto3.Session(*credentials, region_name=REGION)
        return session.client(service, endpoint_url=endpoint_url, config=config)

    return client


def prefect_environment(home: Path, api_url: str) -> dict[str, str]:
    """Return the variables of a Prefect client for this sandbox."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
