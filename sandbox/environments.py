"""The environment variables each part of the sandbox runs with.

Nothing of the user's own AWS or Prefect settings may reach the sandbox: a key
or a profile left in there would send a test's traffic to a real account.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

REGION = "us-east-1"

_FOREIGN = ("AWS_", "PREFECT_", "ECHODROP_", "MOTO_", "POWERTOOLS_", "LAMBDA_")


def system_environment(inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without AWS's, Prefect's or echodrop's variables."""
    source = os.environ if inherited is None else inherited
    environment = {name: value for name, value in source.items() if not name.startswith(_FOREIGN)}
    environment["PATH"] = path_with_this_python(source.get("PATH", os.defpath))
    environment["PYTHONUNBUFFERED"] = "1"
    # A proxy must not get to see what goes to the sandbox's own servers.
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1,localhost"
    return environment


def path_with_this_python(path: str) -> str:
    """Return PATH such that `python` and `prefect` are those of this interpreter."""
    return os.pathsep.join([str(Path(sys.executable).parent), path])


def container_environment() -> dict[str, str]:
    """Return what an image would give a task: PATH and locale, nothing of the host's settings."""
    kept = ("HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "TZ")
    full = system_environment()
    given = {
        name: full[name]
        for name in (*kept, "PATH", "PYTHONUNBUFFERED", "NO_PROXY", "no_proxy")
        if name in full
    }
    # As the image says too: the flow's own warnings belong into the run's log.
    return {**given, "PREFECT_LOGGING_EXTRA_LOGGERS": "flows"}


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """Return the variables that send every AWS SDK to the sandbox's moto."""
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


def prefect_environment(home: Path, api_url: str) -> dict[str, str]:
    """Return the variables of a Prefect client that knows this sandbox alone."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
