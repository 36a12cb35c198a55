"""The failure hook of both flows: it sends alerts and puts the file into quarantine."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

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
from flows.runs.failure_page import show_failure
from flows.runs.task_resources import task_image
from flows.stores.request import ConversionRequest

_TRACEBACK_LENGTH = 4000


class _Fault(NamedTuple):
    """The outcome of a failed file; `files`: of so many, if a whole batch crashed."""

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
    run = FailedRun(
        id=str(flow_run.id),
        name=flow_run.name,
        url=url_for("flow-run", flow_run.id),
        image=task_image(),
        started_at=flow_run.start_time.isoformat() if flow_run.start_time else None,
    )
    failed = [
        (request := _request(parameters), _report(parameters, request, fault, run, flow_run.tags))
        for parameters, fault in _failed_files(flow_run.parameters, state)
    ]
    reports = [report for _, report in failed]
    alerts.send_alerts(reports)
    by_prefect = state.is_crashed() or state.name == TimedOut.outcome
    show_failure(flow_run, reports, ended_by_itself=not by_prefect)
    for request, report in failed:
        if request is not None:
            quarantine.hold(request, report)


def _failed_files(
    parameters: Mapping[str, Any], state: State[Any]
) -> list[tuple[Mapping[str, Any], _Fault]]:
    """The parameters of each failed file's conversion, and its outcome."""
    # A state from the server, as after a crash, has no exception.
    error: object = state.data.result if isinstance(state.data, ResultRecord) else state.data
    entries = [entry for entry in parameters.get("files") or [] if isinstance(entry, Mapping)]
    if isinstance(error, PartlyFailed):
        return [
            (entry, _of_batch(file))
            for entry, file in zip(entries, error.files, strict=True)
            if not file["completed"]
        ]
    fault = _fault(error, state)
    if "files" in parameters:
        return [(entries[0] if entries else {}, fault._replace(files=len(entries)))]
    return [(parameters, fault)]


def _of_batch(file: Mapping[str, Any]) -> _Fault:
    message = file["message"] or file["outcome"]
    if file["outcome"] in FAILURES:
        return _Fault(file["outcome"], message, file["facts"])
    return _Fault(Defect.outcome, message, {"cause": message})


def _fault(error: object, state: State[Any]) -> _Fault:
    if isinstance(error, Outcome):
        # The state's message begins with the outcome.
        return _Fault(error.outcome, str(error), error.facts())
    if not isinstance(error, BaseException) or state.is_crashed() or state.name == TimedOut.outcome:
        ended = TimedOut if state.name == TimedOut.outcome else Defect
        outcome = Crashed.outcome if state.is_crashed() else ended.outcome
        return _Fault(outcome, state.message or outcome, {"cause": state.message})
    cause = public_text(f"{type(error).__name__}: {error}")
    facts = {"error": type(error).__name__, "cause": cause}
    outcome = TransientFault.outcome if is_transient(error) else Defect.outcome
    if outcome == Defect.outcome:
        text = public_text("".join(traceback.format_exception(error)))
        facts["traceback"] = text[-_TRACEBACK_LENGTH:]
    return _Fault(outcome, state.message or outcome, facts)


def _report(
    parameters: Mapping[str, Any],
    request: ConversionRequest | None,
    fault: _Fault,
    run: FailedRun,
    tags: Iterable[str],
) -> FailureReport:
    source = public_uri(str(parameters.get("raw_file") or ""))
    preflight = fault.facts.get("preflight")
    own_fields = {"outcome", "message", "preflight"}
    wanted = request.wanted if request else None
    return FailureReport(
        source=source,
        etag=wanted.etag if wanted else None,
        version_id=wanted.version_id if wanted else None,
        sonar_model=parameters.get("sonar_model"),
        cruise=cruise_of(source, frozenset(tags)),
        output=request.output.uri if request else None,
        outcome=fault.outcome,
        message=fault.message,
        kind=kind_of(fault.outcome, fault.facts, preflight),
        facts={name: value for name, value in fault.facts.items() if name not in own_fields},
        preflight=preflight,
        run=run,
        failed_at=datetime.now(UTC),
        files=fault.files,
    )


def _request(parameters: Mapping[str, Any]) -> ConversionRequest | None:
    """The requested conversion; None if the parameters are invalid."""
    try:
        return ConversionRequest(**parameters)
    except (InvalidParameters, TypeError):
        return None


# Options of both flows; their bodies validate the parameters, and name the outcome.
REPORTING: dict[str, Any] = {
    "persist_result": False,
    "validate_parameters": False,
    "on_failure": [report_failure],
    "on_crashed": [report_failure],
}
