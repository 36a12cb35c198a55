"""Follows one upload: what the trigger decides, its latest run with its states, its output, what to do."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console

from flows.core.locations import PRODUCTS_SUFFIX, S3Location
from flows.failures.failure_report import failure_named, replay_command
from flows.products.jobs.product_jobs import is_current
from lambda_trigger.decisions.wording import counted
from operations.clients.connections import OperationsServices
from operations.clients.prefect_runs import FAILED_OR_CRASHED
from operations.clients.trigger_decision import TriggerDecision, decision_in_words
from operations.console.printing import write_name, write_part
from operations.console.report import age
from operations.findings.findings import IN_PROGRESS, Kind, Source, UploadFinding
from operations.inventory.listings import read_manifest_of, read_object
from operations.inventory.upload_inspection import UploadInspector

# It will get its outcome without anybody's help.
_UNDER_WAY = IN_PROGRESS | {Kind.ARRIVING, Kind.WAITING}
# The trigger, notified once more, would convert it or retry its run.
_REPLAYABLE = frozenset(
    {Kind.NEVER_NOTIFIED, Kind.BACKLOG, Kind.FAILED, Kind.CRASHED, Kind.CANCELLED, Kind.STUCK}
    | {Kind.TORN, Kind.SUPERSEDED, Kind.OUTPUT_MISSING, Kind.OUTPUT_DAMAGED}
)


@dataclass(frozen=True)
class FollowedUpload:
    """All that is known of one upload.

    Attributes:
        source: the upload as it is now, None if it is gone or the rules do not take it.
        decision: what the trigger would decide now.
        output: where its output is, or will be.
        products: whether what is made from the output is current, if the upload is done.
        states: time, name and message of each state of its latest run.
    """

    found: UploadFinding
    source: Source | None = None
    decision: TriggerDecision | None = None
    output: str = ""
    products: str = ""
    states: tuple[tuple[datetime, str, str], ...] = ()
    page: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether it gets its outcome without anybody's help."""
        return self.found.kind in _UNDER_WAY and not self.found.needs_attention

    @property
    def remedy(self) -> str:
        """What to do; empty if nothing is needed."""
        run = self.found.latest
        failed = run is not None and run.state_type in FAILED_OR_CRASHED
        named = failure_named(run.state_name).remedy if run and failed else ""
        return (named or self.found.remedy) if self.found.needs_attention else ""

    @property
    def command(self) -> str:
        """The command to type; empty if no command helps."""
        run, replay = self.found.latest, replay_command(self.found.uri) or ""
        if self.found.kind is Kind.QUARANTINED and run is not None:
            partly = failure_named(run.state_name).converts_partly and not run.allows_partial
            return f"{replay} --allow-partial" if partly else ""
        return replay if self.found.kind in _REPLAYABLE else ""

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            **self.found.as_json(),
            "remedy": self.remedy or None,
            "command": self.command or None,
            "output": self.output or None,
            "products": self.products or None,
            "run_url": self.page or None,
            "states": [
                {"time": at.isoformat(), "name": name, "message": message}
                for at, name, message in self.states
            ],
        }

    def print(self, console: Console, now: datetime) -> None:
        """Print one part after the other, in the order of the upload's trip."""
        write_name(console, self.found.uri, style="bold")
        if self.source is not None:
            stored = f"stored {age(self.source.modified, now)} ago ({_time(self.source.modified)})"
            write_part(console, "upload", f"{counted(self.source.size, 'byte')}, {stored}")
        if self.decision is not None:
            write_part(console, "trigger", decision_in_words(self.decision))
        self._print_run(console)
        if self.output:
            write_part(console, "output", self.output, whole=True)
        if self.products:
            write_part(console, "products", self.products, whole=True)
        style = "red" if self.found.needs_attention else ""
        reason = f": {self.found.reason}" if self.found.reason else ""
        write_part(console, "outcome", f"{self.found.kind}{reason}", style=style)
        if self.remedy:
            write_part(console, "to do", self.remedy)
        if self.command:
            write_part(console, "type", self.command, whole=True)

    def _print_run(self, console: Console) -> None:
        run = self.found.latest
        if run is None:
            return
        facts = [f"generation {run.generation}", counted(run.starts, "start"), f"lane {run.lane}"]
        shared = ["in a batch"] if run.in_batch else []
        write_part(console, "run", ", ".join([*facts, *shared]))
        write_part(console, "", self.page, whole=True)
        # The message of the last state is the outcome's reason.
        last = len(self.states) - 1
        for number, (at, name, message) in enumerate(self.states):
            said = f": {message}" if message and number < last else ""
            write_part(console, "", f"{_time(at)}  {name}{said}")


def follow(uri: str, inspector: UploadInspector) -> FollowedUpload:
    """Collect all that is known of an upload, `s3://bucket/key`.

    Raises:
        ValueError: the URI names no object.
    """
    upload = inspector.upload_now(uri)
    if isinstance(upload, UploadFinding):
        return FollowedUpload(upload, upload.source)
    source, output = upload
    (found,) = inspector.at([(source, output)])
    run, services = found.latest, inspector.services
    return FollowedUpload(
        found,
        source,
        services.decisions.of(source),
        S3Location(services.rules.output_bucket, output).uri,
        _products(services, output) if found.kind is Kind.DONE else "",
        tuple(services.runs.states(run.id)) if run else (),
        services.runs.page(run.id) if run else "",
    )


def _products(services: OperationsServices, output: str) -> str:
    s3, bucket = services.s3, services.rules.output_bucket
    manifest = read_manifest_of(s3, bucket, output)
    record = read_object(s3, bucket, output + PRODUCTS_SUFFIX)
    if manifest is not None and is_current(record, manifest.sha256):
        return "the picture and the viewer store are current"
    again = shlex.quote(S3Location(bucket, output).uri)
    return f"not made from this output, or not all; echodrop draw {again}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
