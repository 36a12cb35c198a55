"""A backfill sends each object once, several to a message, at a limited rate, and resumes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import BACKFILL, Upload
from lambda_trigger.decisions.rules_document import parse_rules
from operations.backfill.archive_sender import Backfill
from operations.backfill.checkpoint import Checkpoint, CheckpointError, checkpoint_of, default_place
from operations.backfill.terminal import backfill as backfill_command
from operations.clients.prefect_runs import PrefectRuns
from operations.inventory.archive_items import ArchiveItem, Listing
from operations.sending.back_pressure import BackPressure, Pace
from tests.file_heads import file_head
from tests.unit.operations.conftest import FakeInbox, lines, received

RULES = parse_rules(
    """
    version = 1
    inbox_bucket = "inbox"
    output_bucket = "output"
    archive_buckets = ["archive"]
    [[prefix]]
    prefix = ""
    deployment = "convert-raw-sonar/ecs"
    """
)


class BackfillKilled(BaseException):
    """The process is killed at this point."""


@dataclass
class FakeQueue:
    """A queue that records messages, and kills the sender after `kill_after` of them."""

    bodies: list[str] = field(default_factory=list)
    kill_after: int | None = None
    depths: Iterator[int] = field(default_factory=lambda: iter(()))

    def send_message(self, **message: str) -> None:
        assert message["QueueUrl"] == "queue"
        self.bodies.append(message["MessageBody"])
        if len(self.bodies) == self.kill_after:
            raise BackfillKilled

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": str(next(self.depths, 0))}}

    def uploads(self) -> list[Upload]:
        found = [notice for body in self.bodies for notice in read_body(body)]
        assert all(isinstance(each, Upload) for each in found)
        return [each for each in found if isinstance(each, Upload)]


class Names(Listing):
    """An archive of these keys; a place is a key."""

    def __init__(self, keys: list[str]) -> None:
        self.__dict__["keys"] = keys

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        return (
            ArchiveItem("archive", key, key, 7, "tag")
            for key in self.__dict__["keys"]
            if key > after
        )


@dataclass
class FakeLane(PrefectRuns):
    unended: Iterator[int] = field(default_factory=lambda: iter(()))

    def unfinished_in(self, work_queue: str) -> int:
        assert work_queue == BACKFILL
        return next(self.unended, 0)


def backfill(
    keys: list[str], queue: Any, path: Path, lane: FakeLane | None = None, **wishes: Any
) -> Backfill:
    waited: list[float] = wishes.pop("waited", [])
    pressure = BackPressure(
        queue, "queue", lane or FakeLane(), BACKFILL, runs=5, sleep=waited.append
    )
    noted = checkpoint_of("archive", "queue", path)
    return Backfill(RULES, Names(keys), noted, queue, pressure, **wishes)


NUMBERED = [f"cruise/{number:05}.raw" for number in range(250)]


def test_every_upload_is_sent_in_the_backfill_lane_several_to_a_message(tmp_path: Path) -> None:
    queue = FakeQueue()
    sent = list(backfill(NUMBERED, queue, tmp_path / "c").run())
    assert sent == [20] * 12 + [10]
    uploads = queue.uploads()
    assert [each.key for each in uploads] == NUMBERED
    first = uploads[0]
    assert (first.bucket, first.size, first.etag, first.lane) == ("archive", 7, "tag", BACKFILL)
    noted = checkpoint_of("archive", "queue", tmp_path / "c")
    assert (noted.sent, noted.messages, noted.bytes, noted.ended) == (250, 13, 1750, True)
    assert list(backfill(NUMBERED, queue, tmp_path / "c").run()) == []


def test_uploads_that_the_rules_ignore_or_reject_are_counted_and_not_sent(tmp_path: Path) -> None:
    keys = ["a.bot", "a.raw", "b.mp3", "settings.xml", "z/"]
    queue = FakeQueue()
    assert list(backfill(keys, queue, tmp_path / "c").run()) == [1]
    noted = checkpoint_of("archive", "queue", tmp_path / "c")
    assert noted.left_out == {"companion": 1, "sidecar-used": 1, "folder": 1}
    assert noted.refused == {"unknown-extension": 1}
    assert noted.ended


@pytest.mark.slow
# Each example writes a checkpoint for every message.
@settings(max_examples=20)
@given(st.lists(st.integers(1, 13), max_size=4), st.integers(5, 30))
def test_a_backfill_killed_anywhere_resumes_and_repeats_one_message_at_most(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], together: int
) -> None:
    path = tmp_path_factory.mktemp("killed") / "c"
    sent: Counter[str] = Counter()
    for kill_after in [*kills, None]:
        queue = FakeQueue(kill_after=kill_after)
        try:
            list(backfill(NUMBERED, queue, path, together=together).run())
        except BackfillKilled:
            assert kill_after
        sent.update(each.key for each in queue.uploads())
    assert set(sent) == set(NUMBERED)
    assert sum(sent.values()) - len(sent) <= together * len(kills)


def test_a_limit_ends_a_call_and_the_next_resumes(tmp_path: Path) -> None:
    queue = FakeQueue()
    for limit in (30, 30):
        list(backfill(NUMBERED, queue, tmp_path / "c", limit=limit).run())
    assert [each.key for each in queue.uploads()] == NUMBERED[:60]
    assert not checkpoint_of("archive", "queue", tmp_path / "c").ended


def test_no_message_is_larger_than_sqs_takes(tmp_path: Path) -> None:
    keys = [f"{'ö' * 400}/{number:03}.raw" for number in range(300)]
    queue = FakeQueue()
    list(backfill(keys, queue, tmp_path / "c", together=100).run())
    assert [each.key for each in queue.uploads()] == keys
    assert max(map(len, queue.bodies)) <= 240_000


def test_it_waits_while_the_queue_or_the_lane_is_full(tmp_path: Path) -> None:
    queue, waited, reasons = FakeQueue(depths=iter([10, 12, 0, 3, 0])), list[float](), list[str]()
    lane = FakeLane(iter([5, 2, 4]))
    run = backfill(NUMBERED[:5], queue, tmp_path / "c", lane, waited=waited)
    run.on_wait = reasons.append
    list(run.run())
    assert reasons == [
        "10 messages in the trigger's queue",
        "12 messages in the trigger's queue",
        "5 runs of the lane have not ended, 0 messages will start more",
        "2 runs of the lane have not ended, 3 messages will start more",
    ]
    assert len(waited) == 4


def test_a_rate_is_kept_in_uploads(tmp_path: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(4.0, sleep, lambda: now[0])
    list(backfill(NUMBERED[:100], FakeQueue(), tmp_path / "c", pace=pace).run())
    # The last message of 20 waits for the four before it.
    assert now[0] == 80 / 4


def test_a_dry_run_counts_what_is_left_and_writes_nothing(tmp_path: Path) -> None:
    queue = FakeQueue()
    list(backfill(NUMBERED, queue, tmp_path / "c", limit=50).run())
    before = (tmp_path / "c").read_text()
    estimate = backfill(NUMBERED, queue, tmp_path / "c").estimate()
    assert (estimate.uploads, estimate.bytes) == (200, 1400)
    assert estimate.dollars > 0
    assert (tmp_path / "c").read_text() == before
    assert len(queue.uploads()) == 50


def test_a_checkpoint_belongs_to_one_backfill(tmp_path: Path) -> None:
    path = tmp_path / "below" / "c"
    noted = Checkpoint(path, "archive", "queue", place="place", left_out=Counter({"folder": 3}))
    noted.save()
    assert checkpoint_of("archive", "queue", path) == noted
    assert [each.name for each in path.parent.iterdir()] == ["c"]
    with pytest.raises(CheckpointError, match="is the checkpoint of archive to queue"):
        checkpoint_of("another", "queue", path)
    path.write_text("{}")
    with pytest.raises(CheckpointError, match="is not the checkpoint"):
        checkpoint_of("archive", "queue", path)
    assert default_place("archive", "queue") != default_place("other", "queue")


def test_a_backfill_does_not_resume_in_a_changed_list(
    rules: Path, queue: str, aws: Any, tmp_path: Path, capsys: Any
) -> None:
    keys, place = tmp_path / "keys.txt", tmp_path / "c"
    keys.write_text("".join(f"old/{number}.raw\n" for number in range(9)))
    asked: dict[str, Any] = {"queue": queue, "rules": rules, "checkpoint": place, "rate": 1e6}
    assert backfill_command(str(keys), **asked, limit=5) == 1
    # The list has changed: its first lines were never sent.
    keys.write_text("".join(f"new/{number}.raw\n" for number in range(9)))
    assert backfill_command(str(keys), **asked) == 2
    assert "has changed since" in capsys.readouterr().err.replace("\n", " ")
    assert backfill_command(str(keys), **asked, restart=True) == 0
    sent = [
        upload.key
        for body in received(aws("sqs"), queue)
        for upload in read_body(body)
        if isinstance(upload, Upload)
    ]
    assert sorted(sent) == [f"new/{number}.raw" for number in range(9)] + [
        f"old/{number}.raw" for number in range(5)
    ]
    another = tmp_path / "other.txt"
    another.write_text("a.raw\n")
    assert backfill_command(str(another), **asked, restart=True) == 2
    assert "is the checkpoint of" in capsys.readouterr().err.replace("\n", " ")


def test_the_command_ends_0_at_the_archive_s_end_and_1_before_it(
    world: FakeInbox, rules: Path, queue: str, aws: Any, capsys: Any
) -> None:
    for number in range(5):
        world.drop(f"old/{number}.raw")
    archive = f"s3://{world.inbox}/old/"
    asked: dict[str, Any] = {
        "queue": queue,
        "rules": rules,
        "checkpoint": rules.with_name("checkpoint"),
        "rate": 1000.0,
        "together": 2,
    }
    assert backfill_command(archive, **asked, dry_run=True, as_json=True) == 0
    (sent,) = lines(capsys)
    assert sent["estimate"]["uploads"] == 5
    assert backfill_command(archive, **asked, dry_run=True) == 0
    assert "with 4 at a time" in capsys.readouterr().out.replace("\n", " ")
    assert backfill_command(archive, **asked, limit=3) == 1
    assert "the limit was reached" in capsys.readouterr().out.replace("\n", " ")
    assert backfill_command(archive, **asked, as_json=True) == 0
    (sent,) = lines(capsys)
    assert (sent["sent"], sent["messages"], sent["ended"]) == (5, 3, True)
    assert backfill_command(archive, **asked) == 0
    assert "--restart begins again" in capsys.readouterr().out.replace("\n", " ")
    bodies = [
        message["Body"]
        for _ in range(2)
        for message in aws("sqs")
        .receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        .get("Messages", [])
    ]
    assert sorted(len(json.loads(body)["Records"]) for body in bodies) == [1, 2, 2]


def test_what_is_published_at_its_version_is_sent_only_by_force(
    world: FakeInbox, rules: Path, queue: str, aws: Any, capsys: Any
) -> None:
    for name in ("done", "replaced", "forgotten", "new"):
        source = world.drop(f"{name}.raw")
        if name != "new":
            world.publish(source, f"{name}.zarr", {"zarr.json": b"{}"})
        if name == "done":
            world.run(source, "COMPLETED", "Completed", generation=2)
    world.drop("replaced.raw", file_head("EK60") + b"another upload")
    settings, data = (
        world.drop("azfp/s.xml", b"<AZFP/>"),
        world.drop("azfp/a.01A", file_head("AZFP")),
    )
    world.publish(data, "azfp/a.01A.zarr", {"zarr.json": b"{}"}, sidecars={settings.uri: "older"})
    world.run(world.drop("running.raw"), "RUNNING", "Running")
    checkpoint = rules.with_name("checkpoint")
    asked: dict[str, Any] = {
        "queue": queue,
        "rules": rules,
        "checkpoint": checkpoint,
        "rate": 1e6,
    }
    archive = f"s3://{world.inbox}/"

    def sent() -> dict[str, int]:
        found = [each for body in received(aws("sqs"), queue) for each in read_body(body)]
        return {each.key: each.generation for each in found if isinstance(each, Upload)}

    assert backfill_command(archive, **asked, dry_run=True) == 0
    out = capsys.readouterr().out
    assert "4 uploads" in out
    assert "not sent: published at this version 2" in out
    # A list without entity tags.
    names = rules.with_name("keys.txt")
    names.write_text("done.raw\nreplaced.raw\n")
    assert backfill_command(str(names), **asked, dry_run=True, as_json=True) == 0
    (line,) = lines(capsys)
    assert line["estimate"]["uploads"] == 1

    assert backfill_command(archive, **asked) == 0
    due = {"azfp/a.01A": 0, "new.raw": 0, "replaced.raw": 0}
    assert sent() == due | {"running.raw": 0}
    capsys.readouterr()
    assert backfill_command(archive, **asked, restart=True, force=True, as_json=True) == 0
    (line,) = lines(capsys)
    assert line["skipped"] == {"in progress": 1}
    assert sent() == due | {"done.raw": 3, "forgotten.raw": 1}


def test_the_command_refuses_a_bucket_that_the_trigger_would_refuse(
    world: FakeInbox, rules: Path, capsys: Any
) -> None:
    asked: dict[str, Any] = {"queue": "queue", "rules": rules}
    assert backfill_command(f"s3://{world.output}/x", **asked) == 2
    assert "add it to archive_buckets" in capsys.readouterr().err.replace("\n", " ")


def test_an_interruption_says_that_the_next_call_resumes(
    world: FakeInbox, rules: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Backfill, "run", stop)
    archive = f"s3://{world.inbox}/"
    place = tmp_path / "c"
    assert backfill_command(archive, queue="q", rules=rules, checkpoint=place) == 130
    assert "the next call resumes" in capsys.readouterr().out.replace("\n", " ")
