"""The trigger's settings from environment variables, checked once at the cold start."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from lambda_trigger.clients.sigv4 import Credentials
from lambda_trigger.clients.transport_errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings. Only the credentials are secret."""

    prefect_api_url: str
    prefect_auth_secret_arn: str | None
    rules_parameter: str
    stack: str
    region: str
    aws_endpoint_url: str | None
    credentials: Credentials


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: variables are missing or wrong; it names every one.
    """
    needed = (
        "PREFECT_API_URL",
        "ECHODROP_RULES_PARAMETER",
        "ECHODROP_STACK",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    )
    wrong = [f"{name} is not set" for name in needed if not environment.get(name)]
    for name in ("PREFECT_API_URL", "AWS_ENDPOINT_URL"):
        url = environment.get(name)
        if url and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
            wrong.append(f"{name} is not an http(s) URL: {url!r}")
    if wrong:
        raise ConfigurationError("environment", "read", "; ".join(wrong))
    return Settings(
        prefect_api_url=environment["PREFECT_API_URL"].rstrip("/"),
        prefect_auth_secret_arn=environment.get("PREFECT_AUTH_SECRET_ARN") or None,
        rules_parameter=environment["ECHODROP_RULES_PARAMETER"],
        stack=environment["ECHODROP_STACK"],
        region=environment["AWS_REGION"],
        aws_endpoint_url=environment.get("AWS_ENDPOINT_URL") or None,
        credentials=Credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN") or None,
        ),
    )
