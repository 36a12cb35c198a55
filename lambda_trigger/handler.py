"""The Lambda handler: it takes a batch of SQS messages and returns those that failed."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lambda_trigger.clients.aws_api import AwsApi
from lambda_trigger.clients.clock import RESERVE, Deadline
from lambda_trigger.clients.flow_runs import PrefectApi
from lambda_trigger.clients.http_client import HttpClient
from lambda_trigger.clients.prefect_connection import PrefectConnection
from lambda_trigger.decisions.batches import Batchable, batches, run_of
from lambda_trigger.decisions.notifications import Judged, Notice, TaskStopped, read_body
from lambda_trigger.decisions.outcomes import Outcome, Upload
from lambda_trigger.decisions.rules_document import Rules
from lambda_trigger.settings import RulesSource, read_settings
from lambda_trigger.submission import Submission, submitted
from lambda_trigger.telemetry import Telemetry, line_logger

# Time reserved for creating the batch runs, in seconds. It is at most this share of the invocation,
# so that a short time-out leaves enough time for the records.
BATCH_SECONDS = 8.0
BATCH_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The services that the handler uses; `stack` is a dimension of its metrics."""

    stack: str
    rules: RulesSource
    storage: AwsApi
    prefect: PrefectApi


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's
    """Handle one Lambda event.

    The first event reads the settings. If they are wrong, this raises: Lambda
    counts an error and SQS keeps every message.
    """
    # Decorated here because the logger reads the environment when it is created.
    invoke = line_logger().inject_lambda_context(_invoke)
    answer: dict[str, Any] = invoke(event, context)
    return answer


def _invoke(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's
    deadline = Deadline(context.get_remaining_time_in_millis() / 1000 - RESERVE)
    started = time.perf_counter()
    cold = not _deps.cache_info().currsize
    deps = _deps()
    telemetry = Telemetry(deps.stack)
    if cold:
        deps.rules.current(deadline)
        telemetry.cold_start((time.perf_counter() - started) * 1000)
    return _handle(event, deps=deps, deadline=deadline, telemetry=telemetry)


def _handle(
    event: dict[str, Any], *, deps: Dependencies, deadline: Deadline, telemetry: Telemetry
) -> dict[str, Any]:
    """Settle every record and return those that failed.

    Raises:
        TransportError: the rules cannot be read, so no record can be settled.
        RuntimeError: a failed record has no message id.
    """
    rules = deps.rules.current(deadline)
    # Batch runs are created last, so some time is reserved for them.
    left = deadline.left()
    batch_seconds = min(BATCH_SECONDS, left * BATCH_SHARE)
    settling = Deadline(left - batch_seconds) if rules.batch else deadline
    submission = Submission(rules, deps.storage, deps.prefect, settling, rules.batch)
    invocation = _Invocation(rules, deps, submission, deadline, telemetry)
    records = _records(event)
    failed = [record for record in records if not invocation.settle_record(record)]
    failed += [record for record in invocation.submit_batches() if record not in failed]
    failures = [str(record["messageId"]) for record in failed if record.get("messageId")]
    if unnamed := len(failed) - len(failures):
        raise RuntimeError(f"{unnamed} notifications without a message id failed")
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failures]}


def _records(event: dict[str, Any]) -> list[dict[str, Any]]:
    """List the SQS records; an event that did not come from SQS counts as one record."""
    records = event.get("Records") if isinstance(event, dict) else None
    if (
        isinstance(records, list)
        and records
        and all(isinstance(record, dict) and "messageId" in record for record in records)
    ):
        return records
    return [{"body": json.dumps(event)}]


@dataclass(frozen=True, slots=True)
class _Invocation:
    rules: Rules
    deps: Dependencies
    submission: Submission
    deadline: Deadline
    telemetry: Telemetry
    waiting: list[tuple[dict[str, Any], Upload, Batchable]] = field(default_factory=list)

    def settle_record(self, record: dict[str, Any]) -> bool:
        """Settle every notice in a record; return False if one failed."""
        message_id = str(record.get("messageId", ""))
        queue_arn = record.get("eventSourceARN")
        settled = True
        for notice in read_body(record.get("body")):
            started = time.perf_counter()
            try:
                for upload, outcome in self._settle_notice(notice, queue_arn):
                    if isinstance(outcome, Batchable):
                        if upload is not None:
                            self.waiting.append((record, upload, outcome))
                        continue
                    milliseconds = (time.perf_counter() - started) * 1000
                    self.telemetry.outcome(upload, outcome, milliseconds, message_id)
                    started = time.perf_counter()
            except Exception as error:  # noqa: BLE001 - one record must not stop the others: SQS delivers it again
                self._failed(record, notice if isinstance(notice, Upload) else None, error)
                settled = False
        return settled

    def submit_batches(self) -> list[dict[str, Any]]:
        """Create the runs of the waiting uploads; return the records that failed."""
        if not self.waiting or self.rules.batch is None:
            return []
        failed = []
        for files in batches([item for _, _, item in self.waiting], self.rules.batch):
            started = time.perf_counter()
            identities = {wanted.idempotency_key for wanted in files}
            members = [
                (record, upload, item)
                for record, upload, item in self.waiting
                if item.wanted.idempotency_key in identities
            ]
            try:
                wanted = run_of(files, self.rules.batch)
                run = self.deps.prefect.create_run(wanted, self.deadline)
            except Exception as error:  # noqa: BLE001 - SQS delivers all of these records again
                for record, upload, _ in members:
                    self._failed(record, upload, error)
                    failed.append(record)
                continue
            milliseconds = (time.perf_counter() - started) * 1000 / len(members)
            for record, upload, item in members:
                outcome = submitted(run, wanted, item.sonar_model, item.size)
                message_id = str(record.get("messageId", ""))
                self.telemetry.outcome(upload, outcome, milliseconds, message_id)
        return [record for number, record in enumerate(failed) if record not in failed[:number]]

    def _failed(self, record: dict[str, Any], upload: Upload | None, error: Exception) -> None:
        attributes = record.get("attributes") or {}
        self.telemetry.failed_attempt(
            upload,
            error,
            str(record.get("messageId", "")),
            str(attributes.get("ApproximateReceiveCount", "")),
            _age(attributes.get("SentTimestamp")),
        )

    def _settle_notice(
        self, notice: Notice, queue_arn: str | None
    ) -> Iterable[tuple[Upload | None, Outcome | Batchable]]:
        if isinstance(notice, TaskStopped):
            return [(None, self._settle_stopped(notice))]
        if isinstance(notice, Judged):
            return [notice]
        return self.submission.settle(notice, queue_arn)

    def _settle_stopped(self, notice: TaskStopped) -> Outcome:
        # Imported here because it is rarely needed and would slow every cold start.
        from lambda_trigger.larger_task import LargerTask  # noqa: PLC0415

        larger = LargerTask(self.deps.prefect, self.deadline)
        return larger.settle(notice.event)


def _age(sent: object) -> float | None:
    """Return the seconds since SQS received a message; None if its time is unknown.

    `sent` is in milliseconds. A replay that calls the function directly sends 0.
    """
    milliseconds = int(sent) if isinstance(sent, str) and sent.isdecimal() else 0
    return max(0.0, time.time() - milliseconds / 1000) if milliseconds else None


@cache
def _deps() -> Dependencies:
    """Read the environment once; after an error the next event tries again."""
    settings = read_settings(os.environ)
    http = HttpClient()
    aws = AwsApi(http, settings.credentials, settings.region, settings.aws_endpoint_url)
    arn = settings.prefect_auth_secret_arn
    read_secret = (lambda deadline: aws.secret(arn, deadline)) if arn else None
    return Dependencies(
        stack=settings.stack,
        rules=RulesSource(lambda deadline: aws.parameter(settings.rules_parameter, deadline)),
        storage=aws,
        prefect=PrefectApi(PrefectConnection(http, settings.prefect_api_url, read_secret)),
    )
