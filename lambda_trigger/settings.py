"""The settings: environment variables, checked once at the cold start, and the rules, read again every minute."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.sigv4 import Credentials
from lambda_trigger.clients.transport_errors import ConfigurationError, TransportError
from lambda_trigger.decisions.rules_document import Rules, parse_rules
from lambda_trigger.decisions.rules_table import RulesError
from lambda_trigger.telemetry import line_logger


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


KEPT_FOR = 60.0


class RulesSource:
    """Caches the parsed rules for a minute, so that an edit takes effect soon."""

    def __init__(
        self, read: Callable[[Deadline], str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._rules: Rules | None = None
        self._read_at = 0.0

    def current(self, deadline: Deadline) -> Rules:
        """Return the current rules.

        If SSM does not answer, the last rules stay in use. If the document is wrong,
        they do not, because the operator who edited it has to see the error.

        Raises:
            TransportError: the rules were never read and cannot be read now.
            ConfigurationError: the document is wrong; the message names the line.
        """
        if self._rules is not None and self._clock() - self._read_at < KEPT_FOR:
            return self._rules
        try:
            text = self._read(deadline)
        except TransportError:
            if self._rules is None:
                raise
            self._read_at = self._clock()
            return self._rules
        before = self._rules
        try:
            self._rules = parse_rules(text)
        except RulesError as error:
            raise ConfigurationError("ssm", "rules", str(error)) from error
        if before is None or before.warnings != self._rules.warnings:
            for warning in self._rules.warnings:
                line_logger().warning(warning)
        self._read_at = self._clock()
        return self._rules
