"""One JSON log line for each outcome, which also carries the metrics.

CloudWatch extracts metrics from log lines in its embedded metric format (EMF), so
the line with an upload's outcome also counts it. Powertools writes the line and
validates the metrics. Its own Metrics class would write a second line, which could
differ from the first.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache, partial

from aws_lambda_powertools.logging.logger import Logger
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.outcomes import Outcome, Rejected, Submitted, Upload, Waiting

NAMESPACE = "echodrop"
SERVICE = "trigger"
# The dimensions of every metric.
STACK_DIMENSIONS = ("stack", "service")


class _StandardOutput(logging.Handler):
    """Writes to the current sys.stdout: a replay redirects it and reads the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        # One write call, so that lines do not mix.
        sys.stdout.write(self.format(record) + "\n")
        sys.stdout.flush()


@cache
def line_logger() -> Logger:
    """Return the one logger: a second one with the same name would have no formatter."""
    return Logger(
        service=SERVICE,
        # Not taken from the environment: these lines carry the metrics.
        level="INFO",
        logger_handler=_StandardOutput(),
        # ASCII only: a key may contain control characters for a terminal.
        json_serializer=partial(json.dumps, default=str),
        utc=True,
        use_rfc3339=True,
        # Always this module, so it says nothing.
        location=None,
    )


class Telemetry:
    """Writes the log lines. Each also has the logger's fields of the invocation."""

    def __init__(self, stack: str) -> None:
        """Set the stack dimension: two stacks of one account share the namespace."""
        self._stack = stack

    def outcome(
        self, upload: Upload | None, outcome: Outcome, milliseconds: float, message_id: str
    ) -> None:
        """Log and count the outcome of an upload, or of a body without one."""
        name = type(outcome).__name__
        facts: dict[str, object] = {"outcome": name, "reason": str(outcome.reason)}
        if isinstance(outcome, Submitted):
            facts |= {
                "flow_run_id": outcome.flow_run_id,
                "flow_run_name": outcome.flow_run_name,
                "sonar_model": outcome.sonar_model,
                "tier": outcome.size,
            }
        facts |= {"detail": outcome.detail} | _facts_of(upload) | {"message_id": message_id}
        level = "warning" if isinstance(outcome, Rejected | Waiting) else "info"
        self._line(
            level,
            f"{name}: {outcome.reason}",
            facts,
            {"Uploads": (1, "Count"), "Latency": (round(milliseconds, 3), "Milliseconds")},
            ((*STACK_DIMENSIONS, "outcome"), (*STACK_DIMENSIONS, "outcome", "reason")),
        )

    def failed_attempt(
        self,
        upload: Upload | None,
        error: Exception,
        message_id: str,
        receive_count: str,
        age: float | None = None,
    ) -> None:
        """Log and count a record that goes back to the queue; `age` is in seconds, if known.

        `Faults` counts errors that a retry does not fix: the files wait until an
        operator acts. Lambda counts such an invocation as a success.
        """
        facts: dict[str, object] = {"outcome": "Retried", "error": str(error)}
        is_fault = True
        if isinstance(error, TransportError):
            is_fault = not error.transient
            facts |= {"reason": error.reason, "to": error.service, "operation": error.operation}
            facts["status"] = error.status
        else:
            written = "".join(traceback.format_exception(error))
            facts |= {"reason": "unexpected-error", "traceback": written}
        facts |= _facts_of(upload) | {"message_id": message_id, "receive_count": receive_count}
        counted: dict[str, tuple[float, str]] = {
            "Retries": (1, "Count"),
            "Faults": (int(is_fault), "Count"),
        }
        if age is not None:
            counted["RetriedAgeSeconds"] = (round(age, 3), "Seconds")
        self._line(
            "error",
            f"Retried: {error}",
            facts,
            counted,
            (STACK_DIMENSIONS, (*STACK_DIMENSIONS, "reason")),
        )

    def cold_start(self, milliseconds: float) -> None:
        """Count a cold start and its set-up time."""
        self._line(
            "info",
            "cold start",
            {},
            {
                "ColdStarts": (1, "Count"),
                "ColdStartSetUp": (round(milliseconds, 3), "Milliseconds"),
            },
            (STACK_DIMENSIONS,),
        )

    def _line(
        self,
        level: str,
        message: str,
        facts: Mapping[str, object],
        metrics: Mapping[str, tuple[float, str]],
        dimensions: Sequence[Sequence[str]],
    ) -> None:
        """Write a line.

        `level` is a method of the logger, `metrics` are number and unit by name; each is counted by each set of `dimensions`.

        Raises:
            SchemaValidationError, MetricUnitError, MetricValueError: CloudWatch
                would not accept the metrics.
        """
        counted = AmazonCloudWatchEMFProvider(namespace=NAMESPACE)
        for name, (number, unit) in metrics.items():
            counted.add_metric(name, unit, number)
        known = {"stack": self._stack, "service": SERVICE, **facts}
        first, *others = [{name: str(known[name]) for name in names} for names in dimensions]
        for name, text in first.items():
            counted.add_dimension(name, text)
        for names in others:
            counted.add_dimensions(**names)
        getattr(line_logger(), level)(message, extra={**facts, **counted.serialize_metric_set()})


def _facts_of(upload: Upload | None) -> dict[str, object]:
    if upload is None:
        return {}
    return {
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id,
        "etag": upload.etag,
        "bytes": upload.size,
        "generation": upload.generation,
        "lane": upload.lane,
        "event_name": upload.event_name,
        "event_time": upload.event_time,
        "envelope": upload.envelope,
        "s3_request_id": upload.request_id,
    }
