"""The failure hook of both flows: it sends alerts and puts the file into quarantine."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas import State
from prefect.client.schemas.objects import FlowRun
from prefect.results import ResultRecord  # type: ignore[attr-defined]  # not in its __all__
from prefect.utilities.urls import url_for

from flows.core.outcomes import InvalidParameters, PartlyFailed, TransientFault
from flows.core.public_uri import public_text, public_uri
from flows.core.run_ends import Crashed, Defect, Outcome, TimedOut
from flows.core.transient_faults import is_transient
from flows.failures import alerts, quarantine
from flows.failures.failure_report import (
    FAILURES,
    FailedRun,
    FailureReport,
    cruise_of,
    kind_of,
)
from flows.runs.ecs_metadata import task_image
from flows.runs.failure_page import show_failure
from flows.stores.request import ConversionRequest

_TRACEBACK_LENGTH = 4000


@dataclass(frozen=True)
class _Failed:
    """One failed file: the parameters of its conversion, and its outcome."""

    parameters: Mapping[str, Any]
    outcome: str
    message: str
    facts: Mapping[str, Any]
    files: int = 1


def report_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Send alerts for every failed file of this run, then put the faulty files into quarantine.

    This is a Prefect hook for on_failure and on_crashed. If the process that runs the
    hooks is killed too, EventBridge reports the run.
    """
    del flow
    failed = _failed_files(flow_run, state)
    requests = [_request(file.parameters) for file in failed]
    run = FailedRun(
        id=str(flow_run.id),
        name=flow_run.name,
        url=url_for("flow-run", flow_run.id),
        image=task_image(),
        started_at=flow_run.start_time.isoformat() if flow_run.start_time else None,
    )
    tags = frozenset(flow_run.tags)
    reports = [
        _report(file, request, run, tags) for file, request in zip(failed, requests, strict=True)
    ]
    alerts.send_alerts(reports)
    by_prefect = state.is_crashed() or state.name == TimedOut.outcome
    show_failure(flow_run, reports, ended_by_itself=not by_prefect)
    for request, report in zip(requests, reports, strict=True):
        if request is not None:
            quarantine.hold(request, report)


def _failed_files(flow_run: FlowRun, state: State[Any]) -> list[_Failed]:
    parameters = flow_run.parameters
    error = _error_of(state)
    entries = [entry for entry in parameters.get("files") or [] if isinstance(entry, Mapping)]
    if isinstance(error, PartlyFailed):
        return [
            _of_batch(entry, file)
            for entry, file in zip(entries, error.files, strict=True)
            if not file["completed"]
        ]
    outcome, facts = _named(error, state)
    # The state's message begins with the outcome.
    message = str(error) if isinstance(error, Outcome) else state.message or outcome
    if "files" in parameters:
        return [_Failed(entries[0] if entries else {}, outcome, message, facts, len(entries))]
    return [_Failed(parameters, outcome, message, facts)]


def _error_of(state: State[Any]) -> BaseException | None:
    """The exception that ended the run; a state from the server, as after a crash, has none."""
    ended: object = state.data.result if isinstance(state.data, ResultRecord) else state.data
    return ended if isinstance(ended, BaseException) else None


def _of_batch(entry: Mapping[str, Any], file: Mapping[str, Any]) -> _Failed:
    message = file["message"] or file["outcome"]
    known = file["outcome"] in FAILURES
    facts = file["facts"] if known else {"cause": message}
    return _Failed(entry, file["outcome"] if known else Defect.outcome, message, facts)


def _named(error: BaseException | None, state: State[Any]) -> tuple[str, dict[str, Any]]:
    """The outcome's name and its facts."""
    if isinstance(error, Outcome):
        return error.outcome, error.facts()
    if state.is_crashed():
        return Crashed.outcome, {"cause": state.message}
    if state.name == TimedOut.outcome:
        return TimedOut.outcome, {"cause": state.message}
    if error is None:
        return Defect.outcome, {"cause": state.message}
    facts = {
        "error": type(error).__name__,
        "cause": public_text(f"{type(error).__name__}: {error}"),
    }
    if is_transient(error):
        return TransientFault.outcome, facts
    text = public_text("".join(traceback.format_exception(error)))
    return Defect.outcome, facts | {"traceback": text[-_TRACEBACK_LENGTH:]}


def _report(
    file: _Failed, request: ConversionRequest | None, run: FailedRun, tags: frozenset[str]
) -> FailureReport:
    parameters = file.parameters
    source = public_uri(str(parameters.get("raw_file") or ""))
    preflight = file.facts.get("preflight")
    own_fields = {"outcome", "message", "preflight"}
    return FailureReport(
        source=source,
        etag=request.wanted.etag if request and request.wanted else None,
        version_id=request.wanted.version_id if request and request.wanted else None,
        sonar_model=parameters.get("sonar_model"),
        cruise=cruise_of(source, tags),
        output=request.output.uri if request else None,
        outcome=file.outcome,
        message=file.message,
        kind=kind_of(file.outcome, file.facts, preflight),
        facts={name: value for name, value in file.facts.items() if name not in own_fields},
        preflight=preflight,
        run=run,
        failed_at=datetime.now(UTC),
        files=file.files,
    )


def _request(parameters: Mapping[str, Any]) -> ConversionRequest | None:
    """The requested conversion; None if the parameters are invalid."""
    try:
        return ConversionRequest(**parameters)
    except (InvalidParameters, TypeError, AttributeError):
        return None
