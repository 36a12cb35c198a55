"""Fixtures: inbox and outputs in moto, Prefect in memory."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.servers import moto
from flows.encoding.written_store import store_checksum
from flows.stores import s3_client
from lambda_trigger.clients.sigv4 import Credentials
from lambda_trigger.decisions.rules_document import parse_rules
from operations.catalog.places import BucketPlace, FolderPlace, Place
from operations.clients.connections import OperationsServices
from operations.clients.prefect_runs import WITH_TASKS, PrefectRuns
from operations.clients.trigger_decision import TriggerDecisions, identity, storage_of
from operations.findings.classification import ClassificationLimits
from operations.findings.findings import ChangeResult, RunFacts, Source, UploadFinding
from operations.inventory.upload_inspection import Scope
from operations.reconcile.reconciliation import Reconciliation
from sandbox.parts.environments import aws_clients, aws_environment
from sandbox.parts.ports import HOST
from tests.file_heads import file_head
from watchdog.prefect_http import PrefectUnreachableError


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("logs")) as port:
        yield f"http://{HOST}:{port}"


@pytest.fixture(scope="session")
def aws(aws_url: str) -> Callable[[str], Any]:
    """Return a boto3 client of a service."""
    return aws_clients(aws_url)


@dataclass
class MemoryRuns(PrefectRuns):
    """The runs of Prefect, in memory, by identity."""

    runs: dict[str, RunFacts] = field(default_factory=dict)
    others: list[RunFacts] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    requested_states: list[tuple[tuple[str, ...], datetime | None]] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    ended: list[tuple[str, int | None]] = field(default_factory=list)

    def by_identity(self, identities: Collection[str]) -> dict[str, RunFacts]:
        self.asked.append(len(identities))
        return {each: self.runs[each] for each in identities if each in self.runs}

    def in_states(
        self,
        states: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        names: Sequence[str] = (),
    ) -> Iterator[RunFacts]:
        del until
        self.requested_states.append((tuple(states), since))
        for run in self.runs.values():
            fits = not names or run.state_name in names, not states or run.state_type in states
            if all(fits) and (since is None or run.since >= since):
                yield run

    def with_tasks(self) -> Iterator[RunFacts]:
        yield from self.in_states(WITH_TASKS)
        yield from self.others

    def states(self, run_id: str) -> list[tuple[datetime, str, str]]:
        (run,) = [each for each in self.runs.values() if each.id == run_id]
        return [(run.since, "Scheduled", ""), (run.since, run.state_name, run.message)]

    def page(self, run_id: str) -> str:
        return f"http://prefect/runs/flow-run/{run_id}"

    def retries(self, run_id: str) -> int:
        return self.retried.count(run_id)

    def retry(self, run_id: str, state_id: str, *, at_most: int | None) -> ChangeResult:
        assert state_id == "state"
        assert at_most in {3, None}
        self.retried.append(run_id)
        return ChangeResult("retried", done=True)

    def end(
        self, run_id: str, state_id: str, why: str, *, retry_at_most: int | None
    ) -> ChangeResult:
        assert state_id == "state"
        assert why
        self.ended.append((run_id, retry_at_most))
        return ChangeResult("ended", done=True)


@dataclass
class HealthyPrefect:
    """What Prefect's API answers about deployments, pool, workers and lanes; all is well by default."""

    paused: bool = False
    heartbeat: datetime | None = field(default_factory=lambda: datetime.now(UTC))
    late: int = 0
    failed_drawings: int = 0
    unknown: tuple[str, ...] = ()

    def ask(self, method: str, path: str, body: Any) -> Any:
        if method == "GET":
            if path.split("/")[1] in self.unknown:
                raise PrefectUnreachableError("no such thing", 404)
            return {"work_pool_name": "ships", "is_paused": self.paused}
        if path.endswith("/workers/filter"):
            return [{"last_heartbeat_time": self.heartbeat.isoformat()}] if self.heartbeat else []
        if path.endswith("/queues/filter"):
            lanes = {"live": 10, "backfill": None, "default": None}
            return [{"name": name, "concurrency_limit": limit} for name, limit in lanes.items()]
        assert path == "/flow_runs/count"
        if "flows" in body:
            assert body["flows"] == {"name": {"any_": ["make-products"]}}
            return self.failed_drawings
        state = body["flow_runs"]["state"]
        is_live = body["flow_runs"]["work_queue_name"] == {"any_": ["live"]}
        if state == {"name": {"any_": ["Late"]}}:
            return self.late if is_live else 900
        return 3 if is_live else 900


@dataclass
class MemoryTasks:
    """Whether runs have a task, by run id; the others are unknown."""

    there: dict[str, bool] = field(default_factory=dict)

    def of(self, runs: Iterable[RunFacts]) -> dict[str, bool]:
        return {run.id: self.there[run.id] for run in runs if run.id in self.there}


@dataclass
class FakeInbox:
    """An inbox with its outputs and runs."""

    s3: Any
    inbox: str
    output: str
    services: OperationsServices
    runs: MemoryRuns
    tasks: MemoryTasks
    archive: str = ""

    def put_into_archive(self, key: str) -> None:
        """Put the first bytes of an EK60 file into the archive."""
        body = file_head("EK60") + key.encode()
        self.s3.put_object(Bucket=self.archive, Key=key, Body=body)

    def drop(self, key: str, body: bytes | None = None, **facts: Any) -> Source:
        """Put an upload into the inbox; without a body, the first bytes of an EK60 file."""
        content = file_head("EK60") + key.encode() if body is None else body
        self.s3.put_object(Bucket=self.inbox, Key=key, Body=content, **facts)
        return self.source(key)

    def source(self, key: str, bucket: str = "") -> Source:
        head = self.s3.head_object(Bucket=bucket or self.inbox, Key=key)
        return Source(
            bucket or self.inbox,
            key,
            head["ContentLength"],
            head["ETag"].strip('"'),
            head["LastModified"],
        )

    def publish(
        self,
        source: Source,
        output: str,
        objects: Mapping[str, bytes],
        *,
        sidecars: Mapping[str, str] | None = None,
    ) -> None:
        """Store a Zarr store and its manifest as a run would."""
        for key, body in objects.items():
            self.s3.put_object(Bucket=self.output, Key=f"{output}/{key}", Body=body)
        self.put_manifest(
            source,
            output,
            objects=len(objects),
            size=sum(map(len, objects.values())),
            sha256=store_checksum(
                {key: hashlib.sha256(body).hexdigest() for key, body in objects.items()}
            ),
            sidecars=sidecars,
        )

    def put_manifest(
        self,
        source: Source,
        output: str,
        *,
        objects: int,
        size: int,
        sha256: str,
        sidecars: Mapping[str, str] | None = None,
        missing: str | None = None,
    ) -> None:
        manifest = {
            "manifest_version": 1,
            "source": {"uri": source.uri, "etag": source.etag, "version_id": None},
            "sidecars": [
                {"kind": "xml", "uri": uri, "etag": etag} for uri, etag in (sidecars or {}).items()
            ],
            "output": {"objects": objects, "bytes": size, "sha256": sha256},
            "missing": missing,
        }
        self.s3.put_object(
            Bucket=self.output, Key=f"{output}.manifest.json", Body=json.dumps(manifest)
        )

    def run(
        self,
        source: Source,
        state: str,
        name: str,
        *,
        message: str = "",
        starts: int = 1,
        generation: int = 0,
        ago: timedelta = timedelta(minutes=1),
        has_task: bool | None = None,
        version: str = "",
        is_repair: bool = False,
    ) -> RunFacts:
        """Add a run of the upload's identity in this state."""
        request = self.services.decisions.of(source).request
        assert request is not None
        since = datetime.now(UTC) - ago
        ident = str(uuid.uuid4())
        run = RunFacts(
            *(ident, "state", state, name, message, starts, since, source.uri),
            version=version,
            is_repair=is_repair,
            parameters=request.parameters | {"verify": "sampled"},
        )
        self.runs.runs[identity(request, source, generation)] = run
        if has_task is not None:
            self.tasks.there[ident] = has_task
        return run

    def reconcile(
        self,
        scope: Scope | None = None,
        limits: ClassificationLimits | None = None,
        *,
        later: float = 1,
    ) -> dict[str, UploadFinding]:
        """Reconcile `later` hours from now; return the findings by key."""
        reconciliation = Reconciliation(
            self.services,
            scope or Scope(),
            limits or ClassificationLimits(),
            now=datetime.now(UTC) + timedelta(hours=later),
        )
        found = list(reconciliation.findings())
        by_key = {finding.uri.split("/", 3)[3]: finding for finding in found}
        assert len(by_key) == len(found), "something is found twice"
        return by_key


@pytest.fixture
def world(aws: Callable[[str], Any], aws_url: str) -> FakeInbox:
    mark = hashlib.sha256(os.urandom(8)).hexdigest()[:12]
    inbox, output = f"inbox-{mark}", f"output-{mark}"
    s3 = aws("s3")
    for bucket in (inbox, output):
        s3.create_bucket(Bucket=bucket)
    rules = parse_rules(
        f"""
        version = 1
        inbox_bucket = "{inbox}"
        output_bucket = "{output}"
        [size_limits]
        reject_above = 9_000_000_000
        [[prefix]]
        prefix = ""
        deployment = "convert-raw-sonar/ecs"
        [[prefix]]
        prefix = "netcdf/"
        deployment = "convert-raw-sonar/ecs"
        output_type = "netcdf"
        output_prefix = "nc/"
        """
    )
    keys = aws_environment(aws_url)
    credentials = Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], None)
    runs, tasks = MemoryRuns(), MemoryTasks()
    storage = storage_of(credentials, keys["AWS_REGION"], aws_url)
    of_ecs: Any = tasks
    services = OperationsServices(s3, TriggerDecisions(rules, storage), runs, of_ecs)
    return FakeInbox(s3, inbox, output, services, runs, tasks)


@pytest.fixture
def archive(world: FakeInbox) -> FakeInbox:
    """The inbox with an archive beside it."""
    name = world.inbox.replace("inbox", "archive")
    world.s3.create_bucket(Bucket=name)
    decisions = world.services.decisions
    decisions.rules = replace(decisions.rules, archive_buckets=(name,))
    world.archive = name
    return world


@pytest.fixture
def rules(world: FakeInbox, aws_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rules document of the inbox, with its services in the environment."""
    for name, text in aws_environment(aws_url).items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("ECHODROP_STACK", "echodrop")
    monkeypatch.delenv("ECHODROP_RULES_PARAMETER", raising=False)
    monkeypatch.setattr(PrefectRuns, "by_identity", lambda _, ids: world.runs.by_identity(ids))
    monkeypatch.setattr(
        PrefectRuns, "in_states", lambda _, *of, **by: world.runs.in_states(*of, **by)
    )
    monkeypatch.setattr(PrefectRuns, "retry", lambda _, *of, **by: world.runs.retry(*of, **by))
    monkeypatch.setattr(PrefectRuns, "with_tasks", lambda _: world.runs.with_tasks())
    monkeypatch.setattr(PrefectRuns, "retries", lambda _, run: world.runs.retries(run))
    monkeypatch.setattr(PrefectRuns, "ask_now", lambda _, *asked: HealthyPrefect().ask(*asked))
    monkeypatch.setattr(PrefectRuns, "states", lambda *_: [])
    monkeypatch.setattr(PrefectRuns, "unfinished_in", lambda *_: 0)
    monkeypatch.setattr(PrefectRuns, "at_once_in", lambda *_: 4)
    monkeypatch.setattr("operations.replay.dead_letters._POLL_SECONDS", 0)
    s3_client._client.cache_clear()
    path = tmp_path / "rules.toml"
    path.write_text(
        f"""
        version = 1
        inbox_bucket = "{world.inbox}"
        output_bucket = "{world.output}"
        [[prefix]]
        prefix = ""
        deployment = "convert-raw-sonar/ecs"
        """
    )
    return path


@pytest.fixture
def queue(aws: Callable[[str], Any]) -> str:
    url: str = aws("sqs").create_queue(QueueName=f"q-{uuid.uuid4().hex}")["QueueUrl"]
    return url


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def received(sqs: Any, url: str) -> list[str]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return FolderPlace(tmp_path)
    world: FakeInbox = request.getfixturevalue("world")
    return BucketPlace(world.s3, world.output, "below/")


def put(place: Place, output: str, **contents: Any) -> None:
    """Write an output: something of its store, and its manifest."""
    if place.open(part := f"{output}/zarr.json" if output.endswith(".zarr") else output) is None:
        place.write(part, b"{}", "application/json")
    place.write(f"{output}.manifest.json", manifest(output, **contents), "application/json")


def manifest(output: str, **contents: Any) -> bytes:
    """A manifest with what the catalogue reads."""
    place = {"west": 3.0, "south": 51.0, "east": 4.0, "north": 52.0}
    known = {
        "dimensions": {
            "/": {},
            "Sonar/Beam_group1": {"channel": 2, "ping_time": 60, "range_sample": 1000},
        },
        "channels": ["GPT  18 kHz 1", "WBT 400040-15 ES38-7_ES"],
        "frequencies": {"GPT  18 kHz 1": 18000.0, "WBT 400040-15 ES38-7_ES": 38000.0},
        "pings": {"Sonar/Beam_group1": 60},
        "time_range": {
            "first": "2025-09-14T17:30:00.123456789Z",
            "last": "2025-09-14T17:34:55.000000000Z",
        },
        "position_box": place,
        "positions": {"track": [[3.0, 51.0], [3.5, 51.5], [4.0, 52.0]]},
    }
    fact = {"name": "ping_gap", "sentence": "a gap of 20 s", "alarm": True}
    return json.dumps(
        {
            "manifest_version": 1,
            "published_at": "2026-01-01T00:00:00+00:00",
            "source": {"uri": f"s3://inbox/{output}.raw", "bytes": 100},
            "sonar": {"model": "EK60"},
            "output": {"bytes": 50},
            "contents": known | contents,
            "missing": "3 pings",
            "corrections": [{"what": "x", "count": 2}],
            "quality": [fact, fact | {"alarm": False, "sentence": "no gap"}],
        }
    ).encode()


def report(key: str) -> bytes:
    where = {"uri": f"s3://inbox/{key}", "etag": None, "version_id": None}
    return json.dumps({"outcome": "BadFile", "message": "cut off", "source": where}).encode()
