"""One line of JSON a record: log and metric at once.

CloudWatch takes metrics out of log lines in its embedded metric format (EMF),
so the line that says what became of an upload also counts it. Source:
"Specification: Embedded metric format", CloudWatch user guide.
"""

import json
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from lambda_trigger.outcomes import Outcome, Rejected, Submitted, Upload, Waiting
from lambda_trigger.transport_errors import TransportError

NAMESPACE = "echodrop"
SERVICE = "trigger"


class Telemetry:
    """Writes the lines. `context` is in every one: the invocation, its trace, cold or warm."""

    def __init__(self, write: Callable[[str], None], context: Mapping[str, object]) -> None:
        self._write = write
        self._context = context

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
            }
        facts |= {"detail": outcome.detail} | _facts_of(upload) | {"message_id": message_id}
        level = "WARNING" if isinstance(outcome, Rejected | Waiting) else "INFO"
        self._line(
            level,
            f"{name}: {outcome.reason}",
            facts,
            {"Uploads": (1, "Count"), "Latency": (round(milliseconds, 3), "Milliseconds")},
            [["service", "outcome"], ["service", "outcome", "reason"]],
        )

    def failed_attempt(
        self, upload: Upload | None, error: Exception, message_id: str, receive_count: str
    ) -> None:
        """Say why a record goes back to the queue."""
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
        self._line(
            "ERROR",
            f"Retried: {error}",
            facts,
            {"Retries": (1, "Count")},
            [["service"], ["service", "reason"]],
        )

    def cold_start(self, milliseconds: float) -> None:
        """Count a cold start and the time the environment took to read its settings."""
        self._line(
            "INFO",
            "cold start",
            {},
            {
                "ColdStarts": (1, "Count"),
                "ColdStartSetUp": (round(milliseconds, 3), "Milliseconds"),
            },
            [["service"]],
        )

    def waiting(self, overdue_keys: list[str], oldest_hours: float) -> None:
        """Report how many uploads wait longer than the limit; the oldest ten are named."""
        self._line(
            "WARNING" if overdue_keys else "INFO",
            f"{len(overdue_keys)} uploads wait for a sidecar longer than the limit",
            {"oldest": overdue_keys[:10]},
            {
                "WaitingOverLimit": (len(overdue_keys), "Count"),
                "OldestWaitHours": (round(oldest_hours, 2), "None"),
            },
            [["service"]],
        )

    def warning(self, message: str) -> None:
        """Say something that no metric counts."""
        self._line("WARNING", message, {}, {}, [])

    def _line(
        self,
        level: str,
        message: str,
        facts: Mapping[str, object],
        metrics: Mapping[str, tuple[float, str]],
        dimensions: list[list[str]],
    ) -> None:
        line: dict[str, Any] = {
            "level": level,
            "message": message,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "service": SERVICE,
            **facts,
            **self._context,
        }
        if metrics:
            directive = {
                "Namespace": NAMESPACE,
                "Dimensions": dimensions,
                "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()],
            }
            line |= {name: number for name, (number, _) in metrics.items()}
            line["_aws"] = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        # ASCII only: a key may hold anything, also what a terminal would obey.
        self._write(json.dumps(line))


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
        "event_name": upload.event_name,
        "event_time": upload.event_time,
        "envelope": upload.envelope,
        "s3_request_id": upload.request_id,
    }
