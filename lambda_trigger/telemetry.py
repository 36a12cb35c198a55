"""One line of JSON a record: log and metric at once.

CloudWatch takes metrics out of log lines in its embedded metric format (EMF),
so the line that says what became of an upload also counts it. Powertools writes
the line and makes and checks the metrics in it; its own way, a line for each,
would part what happened from what was counted.
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

from lambda_trigger.outcomes import Outcome, Rejected, Submitted, Upload, Waiting
from lambda_trigger.transport_errors import TransportError

NAMESPACE = "echodrop"
SERVICE = "trigger"
# The dimensions of every metric: whose it is.
OWNER = ("stack", "service")


class _StandardOutput(logging.Handler):
    """Writes to what standard output is at that moment: a replay reads the lines from there."""

    def emit(self, record: logging.LogRecord) -> None:
        # In one piece, so that no other line gets into this one.
        sys.stdout.write(self.format(record) + "\n")
        sys.stdout.flush()


@cache
def line_logger() -> Logger:
    """Return the one logger of all lines: a second one of its name would have no formatter."""
    return Logger(
        service=SERVICE,
        # Never less, whatever the environment says: these lines are the metrics too.
        level="INFO",
        logger_handler=_StandardOutput(),
        # ASCII only: a key may hold anything, also what a terminal would obey.
        json_serializer=partial(json.dumps, default=str),
        utc=True,
        use_rfc3339=True,
        # Always in this module.
        location=None,
    )


class Telemetry:
    """Writes the lines. What the logger knows of the invocation is in every one."""

    def __init__(self, stack: str) -> None:
        """Count for a stack: two stacks of one account share the namespace."""
        self._stack = stack

    def outcome(
        self, upload: Upload | None, outcome: Outcome, milliseconds: float, message_id: str
    ) -> None:
        """Say what became of one upload, or of a body that names none."""
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
        level = logging.WARNING if isinstance(outcome, Rejected | Waiting) else logging.INFO
        self._line(
            level,
            f"{name}: {outcome.reason}",
            facts,
            {"Uploads": (1, "Count"), "Latency": (round(milliseconds, 3), "Milliseconds")},
            ((*OWNER, "outcome"), (*OWNER, "outcome", "reason")),
        )

    def failed_attempt(
        self,
        upload: Upload | None,
        error: Exception,
        message_id: str,
        receive_count: str,
        age: float | None = None,
    ) -> None:
        """Say why a record goes back to the queue, and its `age` in seconds if SQS told it.

        `Faults` counts what time does not heal, and whose files wait until somebody
        mends it: Lambda takes such an invocation for a good one.
        """
        known = isinstance(error, TransportError)
        facts: dict[str, object] = {
            "outcome": "Retried",
            "reason": error.reason if isinstance(error, TransportError) else "unexpected-error",
            "error": str(error),
        }
        if isinstance(error, TransportError):
            facts |= {"to": error.service, "operation": error.operation, "status": error.status}
        if not known:
            facts["traceback"] = "".join(traceback.format_exception(error))
        facts |= _facts_of(upload) | {"message_id": message_id, "receive_count": receive_count}
        counted: dict[str, tuple[float, str]] = {
            "Retries": (1, "Count"),
            "Faults": (int(not (isinstance(error, TransportError) and error.passes)), "Count"),
        }
        if age is not None:
            counted["RetriedAgeSeconds"] = (round(age, 3), "Seconds")
        self._line(
            logging.ERROR,
            f"Retried: {error}",
            facts,
            counted,
            (OWNER, (*OWNER, "reason")),
        )

    def cold_start(self, milliseconds: float) -> None:
        """Count a cold start and the time the environment took to read its settings."""
        self._line(
            logging.INFO,
            "cold start",
            {},
            {
                "ColdStarts": (1, "Count"),
                "ColdStartSetUp": (round(milliseconds, 3), "Milliseconds"),
            },
            (OWNER,),
        )

    def _line(
        self,
        level: int,
        message: str,
        facts: Mapping[str, object],
        metrics: Mapping[str, tuple[float, str]],
        dimensions: Sequence[Sequence[str]],
    ) -> None:
        """Write a line.

        Args:
            level: logging's.
            message: for people.
            facts: fields of the line.
            metrics: name to number and unit.
            dimensions: sets of fields, by each of which the metrics are counted.

        Raises:
            SchemaValidationError, MetricUnitError, MetricValueError: CloudWatch
                would not take the metrics.
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
        write = {
            logging.INFO: line_logger().info,
            logging.WARNING: line_logger().warning,
            logging.ERROR: line_logger().error,
        }[level]
        write(message, extra={**facts, **counted.serialize_metric_set()})


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
