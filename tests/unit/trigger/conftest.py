"""S3 and Prefect in memory, for tests of the trigger."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from lambda_trigger.clients.aws_answers import ObjectHead, Unreadable
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import FlowRun, RunState
from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.run_identity import RunRequest
from lambda_trigger.decisions.sidecars import ListedObject
from lambda_trigger.handler import Dependencies, _handle
from lambda_trigger.settings import RulesSource
from lambda_trigger.telemetry import Telemetry
from tests.http_servers import Reply, answering

RULES = """
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
[size_limits]
pause_above = 1000
reject_above = 2000
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
[[prefix]]
prefix = "netcdf/"
deployment = "convert-raw-sonar/netcdf"
output_type = "netcdf"
output_prefix = "nc/"
parameters = { compact = false }
job_variables = { cpu = 2048 }
[[prefix]]
prefix = "notes/"
ignore = true
"""


@dataclass
class Stored:
    """One object in the inbox; `size` may differ from the number of bytes."""

    body: bytes
    size: int
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    version_id: str | None = None
    archived: bool = False
    last_modified: str = "2026-01-01T00:00:00.000Z"

    @property
    def etag(self) -> str:
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest()


@dataclass
class MemoryStorage:
    """S3 and SQS as the trigger sees them."""

    objects: dict[str, Stored] = field(default_factory=dict)
    queued: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken_keys: set[str] = field(default_factory=set)

    def ask(self, operation: str, of: str, deadline: Deadline) -> None:
        deadline.limit(1, "s3", operation)
        self.asked.append(f"{operation} {of}")

    def put(self, key: str, body: bytes, **facts: Any) -> Stored:
        self.objects[key] = Stored(body, facts.pop("size", len(body)), **facts)
        return self.objects[key]

    def read_head(
        self, bucket: str, key: str, *, etag: str | None, count: int, deadline: Deadline
    ) -> ObjectHead | Unreadable:
        self.ask("GetObject", bucket, deadline)
        if key in self.broken_keys:
            raise TransportError("s3", "GetObject", "planned")
        found = self.objects.get(key)
        if found is None:
            return "gone"
        if etag not in {None, found.etag}:
            return "replaced"
        if found.archived:
            return "archived"
        if found.size == 0:
            return "empty"
        return ObjectHead(
            found.body[:count],
            found.size,
            found.etag,
            found.version_id,
            found.metadata,
            len(found.tags),
            datetime.fromisoformat(found.last_modified).replace(microsecond=0),
        )

    def tags(self, bucket: str, key: str, deadline: Deadline) -> dict[str, str]:
        self.ask("GetObjectTagging", bucket, deadline)
        return self.objects[key].tags

    def list_objects(
        self, bucket: str, prefix: str, deadline: Deadline, *, below: bool, after: str = ""
    ) -> Iterator[ListedObject]:
        self.ask("ListObjectsV2", bucket, deadline)
        for key, item in sorted(self.objects.items()):
            if key > after and key.startswith(prefix) and (below or "/" not in key[len(prefix) :]):
                yield ListedObject(key, item.size, item.etag, item.last_modified)

    def send_messages(self, queue_arn: str, bodies: Sequence[str], deadline: Deadline) -> None:
        self.ask("SendMessageBatch", queue_arn, deadline)
        assert len(bodies) <= 10, "SQS takes ten messages a batch"
        self.queued += bodies


@dataclass
class MemoryFlowRuns:
    """Prefect as the trigger sees it: one run for each identity."""

    runs: dict[str, RunRequest] = field(default_factory=dict)
    states: dict[str, RunState] = field(default_factory=dict)
    updates: list[str] = field(default_factory=list)
    broken: bool = False

    def create_run(self, wanted: RunRequest, deadline: Deadline) -> FlowRun:
        deadline.limit(1, "prefect", "create_flow_run")
        if self.broken:
            raise TransportError("prefect", "create_flow_run", "planned")
        created = wanted.idempotency_key not in self.runs
        first = self.runs.setdefault(wanted.idempotency_key, wanted)
        state, name = "Paused" if first.paused else "Scheduled", wanted.idempotency_key[:8]
        if name in self.states:
            state = self.states[name].state_name
        return FlowRun(name, first.name, state, created)

    def existing(self, identities: Sequence[str], deadline: Deadline) -> set[str]:
        deadline.limit(1, "prefect", "flow runs")
        return self.runs.keys() & set(identities)

    def run_state(self, run_id: str, deadline: Deadline) -> RunState | None:
        deadline.limit(1, "prefect", "flow run")
        if self.broken:
            raise TransportError("prefect", "flow run", "planned")
        return self.states.get(run_id)

    def set_state(
        self, run_id: str, state: dict[str, Any], deadline: Deadline, *, force: bool = False
    ) -> bool:
        deadline.limit(1, "prefect", "set_state")
        self.states[run_id] = replace(
            self.states[run_id],
            state_type=state["type"],
            state_name=state["name"],
            message=state["message"],
        )
        self.updates.append(f"{'force ' if force else ''}{state['name']}: {state['message']}")
        return True

    def change_run(self, run_id: str, changes: dict[str, Any], deadline: Deadline) -> bool:
        deadline.limit(1, "prefect", "change flow run")
        if self.states[run_id].state_type != "SCHEDULED":
            return False
        self.states[run_id] = replace(self.states[run_id], **changes)
        self.updates.append("changed")
        return True


@dataclass
class Trigger:
    """The handler with all its services in memory."""

    storage: MemoryStorage = field(default_factory=MemoryStorage)
    flow_runs: MemoryFlowRuns = field(default_factory=MemoryFlowRuns)
    rules: str = RULES
    lines: list[dict[str, Any]] = field(default_factory=list)

    def handle(self, event: Any, seconds: float = 30) -> dict[str, Any]:
        fakes: Any = (self.storage, self.flow_runs)
        deps = Dependencies("echodrop", rules_of(self.rules), *fakes)
        written = io.StringIO()
        try:
            with contextlib.redirect_stdout(written):
                return _handle(
                    event,
                    deps=deps,
                    deadline=Deadline(seconds),
                    telemetry=Telemetry(deps.stack),
                )
        finally:
            self.lines += [json.loads(line) for line in written.getvalue().splitlines()]

    def receive(self, *bodies: Any) -> dict[str, Any]:
        """Handle bodies as one batch from a queue; a body that is not text is written as JSON."""
        records = [
            {
                "messageId": f"message-{index}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:uploads",
            }
            for index, body in enumerate(bodies)
        ]
        return self.handle({"Records": records})

    def notify(self, key: str, **facts: Any) -> str:
        """Notify of a stored object, and return the outcome as 'Outcome: reason'."""
        stored = self.storage.objects.get(key)
        item = {"key": key, "size": 1}
        if stored:
            item |= {"etag": stored.etag, "size": stored.size}
        self.lines.clear()
        self.receive(eventbridge(item | facts))
        return str(self.lines[-1]["message"])


@cache
def rules_of(text: str) -> RulesSource:
    """Parse each document once, for all triggers of a test."""
    return RulesSource(lambda _: text)


def eventbridge(item: dict[str, Any], bucket: str = "inbox") -> dict[str, Any]:
    return {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"version": "0", "bucket": {"name": bucket}, "object": item},
    }


@pytest.fixture
def trigger() -> Trigger:
    return Trigger()


@dataclass
class HttpStub:
    """An HTTP server with prepared answers, one after another (the last repeats); it records its requests."""

    origin: str = ""
    default: Any = None
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, str, str | None, Any]] = field(default_factory=list)
    clients: set[Any] = field(default_factory=set)

    @property
    def connections(self) -> int:
        return len(self.clients)

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        self.answers.append((status, self.default if body is None else body, headers))


@pytest.fixture
def http_stub() -> Iterator[HttpStub]:
    stub = HttpStub()

    def answer(asked: BaseHTTPRequestHandler, body: Any) -> Reply:
        stub.clients.add(asked.client_address)
        stub.asked.append((asked.command, asked.path, asked.headers.get("Authorization"), body))
        return stub.answers.pop(0) if len(stub.answers) > 1 else stub.answers[0]

    with answering(answer) as stub.origin:
        yield stub
