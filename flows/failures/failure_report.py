"""The failure report, used in the alert and in the object next to the output.

Pure: facts in, report out. `flows.runs.failure_hooks` collects the facts.
failure_report.schema.json is the schema of the stored report.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flows.core.locations import FAILURE_SUFFIX
from flows.core.outcomes import BadFile, WrongModel
from flows.core.run_ends import Defect, RunEnd

REPORT_VERSION = 1

# Name -> what follows, for every failure that is reported; complete with the import of the outcomes.
FAILURES: Mapping[str, type[RunEnd]] = RunEnd.reported

# A process's exit code is part of the cause: 137 means out of memory, 1 does not.
_EXIT_CODE = r"(?:exit|status) code:? -?\d+"
# A name, an offset, a time or an id: any other word with a digit differs from file to file.
_NUMBERED = re.compile(rf"({_EXIT_CODE})|\S*\d\S*")
_KIND_LENGTH = 120
_TEXT_LENGTH = 2000


def replay_command(source: object, *, partly: bool = False) -> str | None:
    """The command that sends a raw file, or `partly` its intact part, to the trigger again; None if it is not in S3."""
    uri = str(source)
    if not uri.startswith("s3://"):
        return None
    return f"echodrop replay {shlex.quote(uri)}{' --allow-partial' if partly else ''}"


def failure_named(name: str) -> type[RunEnd]:
    """What follows from a failure of this name; a name that is not ours is a defect."""
    return FAILURES.get(name, Defect)


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """The failed flow run; `url` is its page in Prefect's UI, times are ISO 8601 in UTC."""

    id: str
    name: str
    url: str | None
    image: str | None = None
    started_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class FailureReport:
    """One file's failure.

    Attributes:
        etag: entity tag of the version to convert, without quotes.
        cruise: the folder that groups files of one survey.
        output: URI of the output; None if it cannot be determined.
        kind: the cause without the parts that differ from file to file.
        preflight: the result of the walk over the datagrams, as in a manifest.
        files: number of files that failed; above 1 if a whole batch crashed.
    """

    source: str
    sonar_model: str | None
    cruise: str
    output: str | None
    outcome: str
    message: str
    kind: str
    run: FailedRun
    failed_at: datetime
    etag: str | None = None
    version_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    preflight: Mapping[str, Any] | None = None
    files: int = 1

    @property
    def end(self) -> type[RunEnd]:
        """What follows from the outcome."""
        return failure_named(self.outcome)

    @property
    def is_notice(self) -> bool:
        """Whether it can wait for the morning."""
        return not self.end.pages

    @property
    def replay(self) -> str | None:
        """The command that sends the file to the trigger again; None if it is not in S3."""
        return replay_command(self.source)

    @property
    def report_uri(self) -> str | None:
        """URI of the report while the file is in quarantine."""
        if self.end.of_the_file and self.output and self.output.startswith("s3://"):
            return self.output + FAILURE_SUFFIX
        return None

    def as_json(self) -> dict[str, Any]:
        """The stored report as JSON values."""
        return {
            "report_version": REPORT_VERSION,
            "outcome": self.outcome,
            "message": self.message,
            "kind": self.kind,
            "facts": dict(self.facts),
            "source": {"uri": self.source, "etag": self.etag, "version_id": self.version_id},
            "sonar_model": self.sonar_model,
            "cruise": self.cruise,
            "output": self.output,
            "preflight": dict(self.preflight) if self.preflight else None,
            "run": {"id": self.run.id, "name": self.run.name, "url": self.run.url}
            | {"image": self.run.image},
            "started_at": self.run.started_at,
            "failed_at": self.failed_at.isoformat(),
            "remedy": self.end.remedy,
            "replay": self.replay,
        }

    def as_alert(self) -> dict[str, Any]:
        """The report for an alert as JSON values, short enough for every channel."""
        return {
            "event": "failure",
            "file": self.source,
            "files": self.files,
            "outcome": self.outcome,
            "why": self.message[:_TEXT_LENGTH],
            "kind": self.kind,
            "cruise": self.cruise,
            "sonar_model": self.sonar_model,
            "run_url": self.run.url,
            "flow_run_id": self.run.id,
            "flow_run_name": self.run.name,
            "replay": self.replay,
            "remedy": self.end.remedy,
            "report": self.report_uri,
            "failed_at": self.failed_at.isoformat(),
        }


def report_bytes(report: FailureReport) -> bytes:
    """The report as it is stored."""
    return (json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n").encode()


def cruise_of(raw_file: str, tags: frozenset[str] = frozenset()) -> str:
    """The cruise: the run's tag from the trigger, else the folders of the file."""
    for tag in sorted(tags):
        if tag.startswith("cruise:") and tag != "cruise:":
            return tag.removeprefix("cruise:")
    _, mark, rest = raw_file.partition("://")
    path = rest.partition("/")[2] if mark else raw_file
    return path.rpartition("/")[0].strip("/")


def kind_of(outcome: str, facts: Mapping[str, Any], preflight: Mapping[str, Any] | None) -> str:
    """The cause without the parts that differ from file to file: one cause is one incident."""
    if outcome == WrongModel.outcome:
        return f"declared {facts.get('declared')}, found {facts.get('found')}"
    if preflight is not None and outcome == BadFile.outcome:
        return str(preflight["condition"])
    text = str(facts.get("detail") or facts.get("cause") or facts.get("error") or "")
    return _NUMBERED.sub(lambda found: found[1] or "…", text)[:_KIND_LENGTH]
