"""What there is to say of a failure: one report, for the alert and for the object beside the output.

Pure: facts in, report out. `flows.failure_hooks` gathers the facts. The schema of
what is stored stands in failure_report.schema.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

REPORT_VERSION = 1
FAILURE_SUFFIX = ".failure.json"

# What nobody named: an exception that is no outcome, a task that died, a run out of time.
DEFECT, CRASHED, TIMED_OUT = "Defect", "Crashed", "TimedOut"


class Fault(NamedTuple):
    """What follows from a failure's name.

    Attributes:
        of_the_file: its own, or its uploader's: it goes into quarantine.
        may_pass: the same bytes and settings may come to another end: it is tried again.
        pages: somebody is woken for it.
    """

    of_the_file: bool
    may_pass: bool
    pages: bool


_FILES_OWN = Fault(of_the_file=True, may_pass=False, pages=False)
_PASSING = Fault(of_the_file=False, may_pass=True, pages=True)
_SETTINGS = Fault(of_the_file=False, may_pass=False, pages=True)

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
    # Its restore's notification starts the run once more.
    "Archived": Fault(of_the_file=False, may_pass=False, pages=False),
    # The newer upload has a run of its own.
    "SourceChanged": Fault(of_the_file=False, may_pass=True, pages=False),
    **dict.fromkeys(("AccessDenied", "InvalidParameters"), _SETTINGS),
    **dict.fromkeys(
        ("TransientFault", "DiskFault", "OutputClaimed", "ClaimLost", "OutputMismatch"), _PASSING
    ),
    **dict.fromkeys((DEFECT, CRASHED, TIMED_OUT), _PASSING),
}
FILE_FAULTS = frozenset(name for name, fault in FAULTS.items() if fault.of_the_file)
NOTICES = frozenset(name for name, fault in FAULTS.items() if not fault.pages)
FINAL_FAILURES = frozenset(name for name, fault in FAULTS.items() if not fault.may_pass)

REMEDIES: Mapping[str, str] = {
    "BadFile": "get a whole copy and upload it under the same key; or convert what is whole: "
    "echodrop convert FILE OUT --allow-partial",
    "WrongModel": "mend the declared sonar model (metadata, tag or folder) and upload again",
    "MissingSidecar": "upload the sidecar; its arrival starts the conversion",
    "BadSidecar": "upload a whole copy of the sidecar, then replay the raw file; or convert "
    "without what it lacks: echodrop convert FILE OUT --allow-partial",
    "UnsupportedDatagram": "convert without the datagram, where the message allows it: "
    "echodrop convert FILE OUT --allow-partial; tell echopype's maintainers",
    "OutputConflict": "two uploads have one output: rename one of them and upload it again",
    "SourceChanged": "nothing: the newer upload has its own run",
    "OutputMismatch": "retry the run once; if it comes again, keep the file and report a defect",
    "AccessDenied": "mend the task's role or the bucket's policy, then replay",
    "Archived": "restore the object that is named (aws s3api restore-object); where that is the raw file its "
    "run starts again by itself, else replay it",
    "DiskFault": "give the task more ephemeral storage, or free some on this machine, then replay",
    "InvalidParameters": "mend the rules document or the call, then replay",
    "TransientFault": "replay once the store answers again",
    "OutputClaimed": "replay once the other run at this output has ended",
    "ClaimLost": "replay once the other run at this output has ended",
    DEFECT: "look at the run's log and report a defect",
    CRASHED: "exit code 137 is memory: a run on the next size follows by itself, else replay",
    TIMED_OUT: "replay it; if it hangs again, the end of the task's log says where: report a defect",
}

# A process's exit code is the cause itself: 137 is memory, 1 is not.
_EXIT_CODE = r"(?:exit|status) code:? -?\d+"
# A name, an offset, a time, an id: all else that has a digit in it tells one file from another.
_NUMBERED = re.compile(rf"({_EXIT_CODE})|\S*\d\S*")
_KIND_LENGTH = 120
_TEXT_LENGTH = 2000


@dataclass(frozen=True, kw_only=True)
class Run:
    """The flow run that failed; `url` is its page in Prefect's UI, times are ISO 8601 in UTC."""

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
        etag: entity tag of the version that was to be converted, without quotes.
        version_id: its version id.
        sonar_model: as declared.
        cruise: the folder that groups files of one survey.
        output: URI of the output that there would be; None where it can't be said.
        outcome: a name of `flows.outcomes`, or Defect, Crashed, TimedOut.
        message: one sentence, naming file and cause.
        kind: the cause without what differs from file to file.
        facts: the outcome's attributes, JSON values.
        preflight: what the walk over the datagrams found, as in a manifest.
        run: the flow run.
        failed_at: when it ended.
        files: how many files the failure is of; above 1 for a batch that died as a whole.
    """

    source: str
    sonar_model: str | None
    cruise: str
    output: str | None
    outcome: str
    message: str
    kind: str
    run: Run
    failed_at: datetime
    etag: str | None = None
    version_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    preflight: Mapping[str, Any] | None = None
    files: int = 1

    @property
    def of_the_file(self) -> bool:
        """Whether the file is held responsible, and so put into quarantine."""
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
        """The command that sends the file through the trigger again; None: it is in no bucket."""
        return f"echodrop replay {self.source}" if self.source.startswith("s3://") else None

    @property
    def report_uri(self) -> str | None:
        """Where the report lies once the file is in quarantine."""
        if self.of_the_file and self.output and self.output.startswith("s3://"):
            return self.output + FAILURE_SUFFIX
        return None

    def as_json(self) -> dict[str, Any]:
        """The report as it is stored, JSON values."""
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
        """What an alert says of it, JSON values; short enough for any way to be told."""
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
    """The cruise: what the trigger tagged the run with, else the folders that the file lies in."""
    for tag in sorted(tags):
        if tag.startswith("cruise:") and tag != "cruise:":
            return tag.removeprefix("cruise:")
    _, mark, rest = raw_file.partition("://")
    path = rest.partition("/")[2] if mark else raw_file
    return path.rpartition("/")[0].strip("/")


def kind_of(outcome: str, facts: Mapping[str, Any], preflight: Mapping[str, Any] | None) -> str:
    """The cause without what differs from file to file, so that one cause is one incident."""
    if outcome == "WrongModel":
        return f"declared {facts.get('declared')}, found {facts.get('found')}"
    if preflight is not None and outcome == "BadFile":
        return str(preflight["condition"])
    text = str(facts.get("cause") or facts.get("error") or "")
    return _NUMBERED.sub(lambda found: found[1] or "…", text)[:_KIND_LENGTH]
