"""The rules in use: read when first needed and again every minute."""

import time
from collections.abc import Callable

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.transport_errors import ConfigurationError, TransportError
from lambda_trigger.decisions.rules_document import Rules, parse_rules
from lambda_trigger.decisions.rules_table import RulesError
from lambda_trigger.telemetry import line_logger

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
