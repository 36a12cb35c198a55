"""What --fix sends, retries and skips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from events.sending import Message, ReplayRow
from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import BACKFILL, Upload
from operations.console.report import FindingTally
from operations.findings.findings import Action, End, Kind, Notify, Retry, Source, UploadFinding
from operations.sending.back_pressure import Pace
from operations.sending.fixing import Fixer, FixQueue
from tests.unit.operations.conftest import MemoryRuns


@dataclass
class RecordingQueue:
    """A queue that refuses messages that name `refused`."""

    refused: str = "no such"
    sent: list[Message] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        self.batches.append(len(messages))
        rows = []
        for message in messages:
            bad = self.refused in message.body
            if not bad:
                self.sent.append(message)
            outcome = "Retried" if bad else "Sent"
            rows.append(ReplayRow(message.source, "", outcome, "", "too long" if bad else ""))
        return rows


def finding(key: str, action: Action | None) -> UploadFinding:
    source = Source("inbox", key, 5, "tag", datetime(2026, 1, 1, tzinfo=UTC))
    return UploadFinding(Kind.TORN, source.uri, "why", source=source, action=action)


def test_a_notification_names_the_upload_as_the_original_did() -> None:
    queue = RecordingQueue()
    list(Fixer(queue, MemoryRuns()).fix([finding("a/ä +%.raw", Notify(2))]))
    (upload,) = read_body(queue.sent[0].body)
    assert isinstance(upload, Upload)
    assert (upload.bucket, upload.key, upload.etag) == ("inbox", "a/ä +%.raw", "tag")
    assert (upload.version_id, upload.generation) == (None, 2)
    assert "echodrop" not in json.loads(_body(Notify(0)))["detail"]


def _body(action: Notify) -> str:
    queue = RecordingQueue()
    list(Fixer(queue, MemoryRuns()).fix([finding("k.raw", action)]))
    return queue.sent[0].body


def test_each_finding_with_an_action_is_fixed_once() -> None:
    queue, runs = RecordingQueue(), MemoryRuns()
    findings = [finding(f"{number}.raw", Notify(0)) for number in range(23)]
    findings += [
        finding("r.raw", Retry("run", "state")),
        finding("e.raw", End("dead", "state", retry=True)),
        finding("f.raw", End("old", "state", retry=False)),
        finding("x.raw", None),
    ]
    done = list(Fixer(queue, runs).fix(iter(findings)))
    assert [message.source for message in queue.sent] == [each.uri for each in findings[:23]]
    assert max(queue.batches) <= 10
    assert runs.retried == ["run"]
    assert runs.ended == [("dead", 3), ("old", 0)]
    assert [fixed for fixed, _ in done] == findings[:26]
    assert all(result.done for _, result in done)


def test_messages_that_the_queue_refuses_are_reported() -> None:
    queue = RecordingQueue(refused="bad.raw")
    findings = [finding("good.raw", Notify(0)), finding("bad.raw", Notify(0))]
    (_, good), (_, bad) = Fixer(queue, MemoryRuns()).fix(findings)
    assert (str(good), good.done) == ("notified", True)
    assert (str(bad), bad.done) == ("not sent: too long", False)


def test_a_dry_run_only_reports() -> None:
    queue, runs = RecordingQueue(), MemoryRuns()
    findings = [
        finding("a.raw", Notify(0)),
        finding("b.raw", Retry("run", "state")),
        finding("c.raw", End("dead", "state", retry=True)),
        finding("d.raw", End("old", "state", retry=False)),
    ]
    said = [str(result) for _, result in Fixer(queue, runs, dry_run=True).fix(findings)]
    assert said == ["would notify", "would retry", "would end and retry", "would end"]
    assert (queue.sent, runs.retried, runs.ended) == ([], [], [])


def test_a_run_of_several_files_is_ended_once_and_all_of_them_are_fixed() -> None:
    runs = MemoryRuns()
    findings = [finding(f"{number}.raw", End("batch", "state", retry=True)) for number in range(12)]
    done = list(Fixer(RecordingQueue(), runs).fix(findings))
    assert runs.ended == [("batch", 3)]
    assert [(fixed, result.done) for fixed, result in done] == [(each, True) for each in findings]


def test_failed_fixes_do_not_count_against_the_limit() -> None:
    queue = RecordingQueue(refused="no way")
    findings = [finding(f"no way {number}.raw", Notify(0)) for number in range(25)]
    findings += [finding(f"{number}.raw", Notify(0)) for number in range(20)]
    done = list(Fixer(queue, MemoryRuns(), limit=12).fix(findings))
    assert sum(result.done for _, result in done) == len(queue.sent) == 12
    tally = FindingTally()
    for _, result in done:
        tally.add_result(result)
    assert (tally.done, tally.fixes) == (12, {"notified": 12, "not sent": 25})


def test_fixes_keep_to_the_rate() -> None:
    paced: list[float] = []
    pace = Pace(2, sleep=paced.append, clock=lambda: 0.0)
    findings = [finding(f"{number}.raw", Notify(0)) for number in range(30)]
    list(Fixer(RecordingQueue(), MemoryRuns(), pace=pace).fix(findings))
    assert paced == [5, 10]


def aged(kind: Kind, key: str, days: float, action: Action | None) -> UploadFinding:
    found = finding(key, action)
    since = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=days)
    return replace(found, kind=kind, since=since)


def test_live_uploads_come_first_the_newest_of_each_class_in_turn_and_the_lane_bounds_the_rest() -> (
    None
):
    old, fix_queue = Notify(0, lane=BACKFILL), FixQueue(kept=300)
    for number in range(1000):
        fix_queue.add(aged(Kind.NEVER_NOTIFIED, f"archive/{number}.raw", 100 + number, old))
    for number in range(3):
        fix_queue.add(aged(Kind.CRASHED, f"crashed {number}", number, Retry(f"{number}", "state")))
    fix_queue.add(aged(Kind.NEVER_NOTIFIED, "z/new.raw", 0.5, Notify(0)))
    fix_queue.add(aged(Kind.QUARANTINED, "bad.raw", 0, None))
    live = ["crashed 0", "z/new.raw", "crashed 1", "crashed 2"]
    for room in (0, 7):
        found = [each.uri.removeprefix("s3://inbox/") for each in fix_queue.in_turn(room)]
        assert found == [*live, *(f"archive/{number}.raw" for number in range(room))]
    assert len(list(fix_queue.in_turn(10_000))) == 304
