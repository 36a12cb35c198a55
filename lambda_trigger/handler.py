"""The Lambda's handler: a batch of SQS messages in, the ones to bring again out."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from lambda_trigger.aws_api import AwsApi
from lambda_trigger.batches import Batchable, batches, run_of
from lambda_trigger.clock import RESERVE, Deadline
from lambda_trigger.flow_runs import PrefectApi
from lambda_trigger.http_client import HttpClient
from lambda_trigger.notifications import Judged, Notice, TaskStopped, read_body
from lambda_trigger.outcomes import Outcome, Upload
from lambda_trigger.prefect_connection import PrefectConnection
from lambda_trigger.rules_document import Rules
from lambda_trigger.rules_source import RulesSource
from lambda_trigger.services import Prefect, Storage
from lambda_trigger.settings import read_settings
from lambda_trigger.submission import Submission, submitted
from lambda_trigger.telemetry import Telemetry, line_logger

# Kept of an invocation's time for asking for its batches: seconds, and never more than this share,
# so that a short time-out leaves enough to settle the records in.
TIME_TO_ASK = 8.0
SHARE_TO_ASK = 0.25


class LambdaContext(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: int

    def get_remaining_time_in_millis(self) -> int:
        """Give the milliseconds left to the invocation."""


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handler works with; `stack` is whose metrics it writes."""

    stack: str
    rules: RulesSource
    storage: Storage
    prefect: Prefect


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take an event of Lambda's.

    Settings are read at the first event. Where they are wrong this raises, so
    that Lambda counts an error and SQS keeps every message.
    """
    # Decorated here and not above: a logger reads the environment as it is made.
    invoke = line_logger().inject_lambda_context(_invoke)
    answer: dict[str, Any] = invoke(event, context)
    return answer


def _invoke(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
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
    event: dict[str, Any], *, deps: Deps, deadline: Deadline, telemetry: Telemetry
) -> dict[str, Any]:
    """Settle every record; name those that have to come again.

    Raises:
        TransportError: the rules can't be had, so no record can be judged.
        RuntimeError: a record failed that can't be named to SQS.
    """
    rules = deps.rules.current(deadline)
    # What is grouped is asked for after all else, and that must have its time.
    left = deadline.left()
    to_ask = min(TIME_TO_ASK, left * SHARE_TO_ASK)
    settling = Deadline(left - to_ask) if rules.batch else deadline
    submission = Submission(rules, deps.storage, deps.prefect, settling, rules.batch)
    invocation = _Invocation(rules, deps, submission, deadline, telemetry)
    records = _records(event)
    failed = [record for record in records if not invocation.settle_record(record)]
    failed += [record for record in invocation.ask_for_batches() if record not in failed]
    failures = [str(record["messageId"]) for record in failed if record.get("messageId")]
    if unnamed := len(failed) - len(failures):
        raise RuntimeError(f"{unnamed} notifications failed that came without a queue")
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failures]}


def _records(event: dict[str, Any]) -> list[dict[str, Any]]:
    """List the SQS records; an event that came without a queue is taken as one."""
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
    deps: Deps
    submission: Submission
    deadline: Deadline
    telemetry: Telemetry
    waiting: list[tuple[dict[str, Any], Upload, Batchable]] = field(default_factory=list)

    def settle_record(self, record: dict[str, Any]) -> bool:
        """Bring everything a record tells of to its outcome; say whether that worked."""
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
            except Exception as error:  # noqa: BLE001 - no record may stop its neighbours or be lost: it comes again
                self._failed(record, notice if isinstance(notice, Upload) else None, error)
                settled = False
        return settled

    def ask_for_batches(self) -> list[dict[str, Any]]:
        """Ask for the runs of what waits for its batch; list the records whose upload got none."""
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
            except Exception as error:  # noqa: BLE001 - as for a record: all of them come again
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
        # Rare, and no start should wait for it.
        from lambda_trigger.larger_task import LargerTask  # noqa: PLC0415

        larger = LargerTask(self.deps.prefect, self.deadline)
        return larger.settle(notice.event)


def _age(sent: object) -> float | None:
    """Seconds since SQS got a message, by its attribute in milliseconds; None where nobody says it.

    A replay that calls the function itself sends 0.
    """
    milliseconds = int(sent) if isinstance(sent, str) and sent.isdecimal() else 0
    return max(0.0, time.time() - milliseconds / 1000) if milliseconds else None


@cache
def _deps() -> Deps:
    """Read the environment, once; an error is not kept, so the next event tries again."""
    settings = read_settings(os.environ)
    http = HttpClient()
    aws = AwsApi(http, settings.credentials, settings.region, settings.aws_endpoint_url)
    arn = settings.prefect_auth_secret_arn
    read_secret = (lambda deadline: aws.secret(arn, deadline)) if arn else None
    return Deps(
        stack=settings.stack,
        rules=RulesSource(lambda deadline: aws.parameter(settings.rules_parameter, deadline)),
        storage=aws,
        prefect=PrefectApi(PrefectConnection(http, settings.prefect_api_url, read_secret)),
    )
