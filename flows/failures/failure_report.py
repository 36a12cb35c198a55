"""The failure report, used in the alert and in the object next to the output.

Pure: facts in, report out. `flows.runs.failure_hooks` collects the facts.
failure_report.schema.json is the schema of the stored report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from flows.core.locations import FAILURE_SUFFIX

REPORT_VERSION = 1

# Names of other failures: an exception that is not an outcome, a task that died, a run that timed
# out.
DEFECT, CRASHED, TIMED_OUT = "Defect", "Crashed", "TimedOut"


class Fault(NamedTuple):
    """Properties of a failure's name.

    Attributes:
        of_the_file: the file or its uploader is at fault; the file goes into quarantine.
        is_retryable: the same bytes and settings may succeed later: it is retried.
        pages: it wakes the person on call.
    """

    of_the_file: bool
    is_retryable: bool
    pages: bool


_FILES_OWN = Fault(of_the_file=True, is_retryable=False, pages=False)
_PASSING = Fault(of_the_file=False, is_retryable=True, pages=True)
_SETTINGS = Fault(of_the_file=False, is_retryable=False, pages=True)

FAULTS: Mapping[str, Fault] = {
    **dict.fromkeys(
        (
            "BadFile",
            "WrongModel",
            "MissingSidecar",
            "BadSidecar",
            "UnsupportedDatagram",
            "OutputConflict",
        ),
        _FILES_OWN,
    ),
    # The notification of its restore starts the run again.
    "Archived": Fault(of_the_file=False, is_retryable=False, pages=False),
    # The newer upload has its own run.
    "SourceChanged": Fault(of_the_file=False, is_retryable=True, pages=False),
    **dict.fromkeys(("AccessDenied", "InvalidParameters"), _SETTINGS),
    **dict.fromkeys(
        ("TransientFault", "DiskFault", "OutputClaimed", "ClaimLost", "OutputMismatch"), _PASSING
    ),
    **dict.fromkeys((DEFECT, CRASHED, TIMED_OUT), _PASSING),
}
FILE_FAULTS = frozenset(name for name, fault in FAULTS.items() if fault.of_the_file)
NOTICES = frozenset(name for name, fault in FAULTS.items() if not fault.pages)
FINAL_FAILURES = frozenset(name for name, fault in FAULTS.items() if not fault.is_retryable)

REMEDIES: Mapping[str, str] = {
    "BadFile": "get an intact copy and upload it under the same key; or convert the intact part: "
    "echodrop convert FILE OUT --allow-partial",
    "WrongModel": "correct the declared sonar model (metadata, tag or folder) and upload again",
    "MissingSidecar": "upload the sidecar; its arrival starts the conversion",
    "BadSidecar": "upload an intact copy of the sidecar, then replay the raw file; or convert "
    "without the damaged data: echodrop convert FILE OUT --allow-partial",
    "UnsupportedDatagram": "convert without the datagram, if the message allows it: "
    "echodrop convert FILE OUT --allow-partial; report it to echopype's maintainers",
    "OutputConflict": "two uploads have the same output: rename one of them and upload it again",
    "SourceChanged": "nothing: the newer upload has its own run",
    "OutputMismatch": "retry the run once; if it fails again, keep the file and report a bug",
    "AccessDenied": "correct the task's role or the bucket's policy, then replay",
    "Archived": "restore the object in the message (aws s3api restore-object); a raw file's "
    "run starts again by itself, for other objects replay the raw file",
    "DiskFault": "give the task more ephemeral storage, or free space on this machine, then replay",
    "InvalidParameters": "correct the rules document or the call, then replay",
    "TransientFault": "replay when the store answers again",
    "OutputClaimed": "replay after the other run of this output has ended",
    "ClaimLost": "replay after the other run of this output has ended",
    DEFECT: "read the run's log and report a bug",
    CRASHED: "exit code 137 means out of memory: the run is retried on a larger task; else replay",
    TIMED_OUT: "replay it; if it hangs again, the end of the task's log shows where: report a bug",
}

# A process's exit code is part of the cause: 137 means out of memory, 1 does not.
_EXIT_CODE = r"(?:exit|status) code:? -?\d+"
# A name, an offset, a time or an id: any other word with a digit differs from file to file.
_NUMBERED = re.compile(rf"({_EXIT_CODE})|\S*\d\S*")
_KIND_LENGTH = 120
_TEXT_LENGTH = 2000


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
        source: the raw file's URI.
        etag: entity tag of the version to convert, without quotes.
        version_id: its version id.
        sonar_model: the declared sonar model.
        cruise: the folder that groups files of one survey.
        output: URI of the output; None if it cannot be determined.
        outcome: a name of `flows.core.outcomes`, or Defect, Crashed, TimedOut.
        message: one sentence with the file and the cause.
        kind: the cause without the parts that differ from file to file.
        facts: the outcome's attributes as JSON values.
        preflight: the result of the walk over the datagrams, as in a manifest.
        run: the flow run.
        failed_at: when the run ended.
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
    def of_the_file(self) -> bool:
        """Whether the file is at fault, and so goes into quarantine."""
        return self.outcome in FILE_FAULTS

    @property
    def is_notice(self) -> bool:
        """Whether it can wait for the morning."""
        return self.outcome in NOTICES

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES.get(self.outcome, REMEDIES[DEFECT])

    @property
    def replay(self) -> str | None:
        """The command that sends the file to the trigger again; None if it is not in S3."""
        return f"echodrop replay {self.source}" if self.source.startswith("s3://") else None

    @property
    def report_uri(self) -> str | None:
        """URI of the report while the file is in quarantine."""
        if self.of_the_file and self.output and self.output.startswith("s3://"):
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
            "remedy": self.remedy,
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
            "remedy": self.remedy,
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
    if outcome == "WrongModel":
        return f"declared {facts.get('declared')}, found {facts.get('found')}"
    if preflight is not None and outcome == "BadFile":
        return str(preflight["condition"])
    text = str(facts.get("detail") or facts.get("cause") or facts.get("error") or "")
    return _NUMBERED.sub(lambda found: found[1] or "…", text)[:_KIND_LENGTH]
