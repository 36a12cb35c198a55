"""Decides which uploads are replayed, and how. The decision is pure.

The identity stays the same where possible: finished and unfinished uploads are
skipped, and a failed run is retried. If the trigger would now request other
parameters, because rules or declaration were corrected, a retry does not help, since a
run keeps its parameters. The upload then gets a new generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flows.core.run_ends import Defect
from flows.failures.failure_report import FAILURES
from lambda_trigger.decisions.rules_document import Rules
from operations.clients.prefect_runs import FAILED_OR_CRASHED, PrefectRuns
from operations.findings.classification import retry_action
from operations.findings.findings import (
    IN_PROGRESS,
    Action,
    End,
    Kind,
    Notify,
    RunFacts,
    UploadFinding,
)
from operations.inventory.upload_inspection import Scope

_FAILED = "Failed"
# States that are not failures, and the state of an exception that is not an outcome.
_OTHER_STATES = ("Completed", "Skipped", "Cancelled", _FAILED)
# The trigger requests no run for these.
_NOT_CONVERTED = frozenset(
    {Kind.IGNORED, Kind.REJECTED, Kind.WAITING, Kind.OVERDUE, Kind.CONTESTED}
)


def outcome_named(text: str) -> str:
    """The name of the state that an operator means, in any case of letters.

    Raises:
        ValueError: no run ends in a state of this name.
    """
    known = {name.lower(): name for name in (*FAILURES, *_OTHER_STATES)}
    # Alerts and reports use this name for the state Failed.
    known[Defect.outcome.lower()] = _FAILED
    if found := known.get(text.strip().lower()):
        return found
    names = ", ".join(sorted({*known.values()}))
    raise ValueError(f"no run ends as {text!r}; known outcomes: {names}")


@dataclass(frozen=True)
class RunChoice:
    """Runs that ended between two times.

    Attributes:
        outcomes: names of states, such as BadFile; empty for all that failed or crashed.
        version: version of the run's deployment.
    """

    since: datetime | None = None
    until: datetime | None = None
    prefix: str = ""
    outcomes: tuple[str, ...] = ()
    version: str = ""

    def uploads(self, runs: PrefectRuns, rules: Rules) -> list[str]:
        """URIs of the uploads of the chosen runs, each once, from inbox and archives.

        All pages are read before the first upload is sent, because a retried run
        disappears from the later pages.
        """
        states = () if self.outcomes else FAILED_OR_CRASHED
        scope = Scope(self.prefix)
        found = runs.in_states(states, self.since, self.until, names=self.outcomes)
        return list(
            dict.fromkeys(
                run.raw_file
                for run in found
                if scope.takes(rules, run.raw_file) and self.version in {"", run.version}
            )
        )

    def is_outdated_by(self, latest: RunFacts) -> bool:
        """Whether the upload was run again since the chosen run, for example by an earlier call.

        `since` is not compared, because a file of a batch ends before its batch.
        """
        ended_so = (
            latest.state_name in self.outcomes
            if self.outcomes
            else latest.state_type in FAILED_OR_CRASHED
        )
        in_time = self.until is None or latest.since <= self.until
        return not (ended_so and in_time and self.version in {"", latest.version})


@dataclass(frozen=True, slots=True)
class ReplayDecision:
    """What to do about one upload, or `why` nothing is done."""

    action: Action | None
    why: str = ""
    settled: bool = False


def decide_replay(
    found: UploadFinding,
    *,
    force: bool,
    allow_partial: bool = False,
    choice: RunChoice | None = None,
) -> ReplayDecision:
    """Decide how to replay an upload.

    `choice` says how its run was chosen, if the upload was not named.
    """
    run = found.latest
    if found.source is None or found.kind in _NOT_CONVERTED:
        return ReplayDecision(None, f"{found.kind}: {found.detail}")
    if why := _in_progress(found):
        # A run whose task is gone is ended first.
        end = found.action if isinstance(found.action, End) else None
        return ReplayDecision(end, why, settled=True)
    if why := _settled(found, choice, force=force):
        return ReplayDecision(None, why, settled=True)
    if run is None:
        return ReplayDecision(Notify(found.next_generation, allow_partial=allow_partial))
    # A run keeps its parameters when it is retried.
    changed = found.parameters_changed or (allow_partial and not run.allows_partial)
    if force or changed or run.state_type not in FAILED_OR_CRASHED:
        following = Notify(found.next_generation, lane=run.lane, allow_partial=allow_partial)
        return ReplayDecision(following)
    return ReplayDecision(retry_action(run))


def _settled(found: UploadFinding, choice: RunChoice | None, *, force: bool) -> str:
    """Why nothing needs to be done; empty if something does."""
    if found.kind is Kind.DONE and not force:
        return "done"
    if choice and found.latest and choice.is_outdated_by(found.latest):
        return "run again since"
    return ""


def _in_progress(found: UploadFinding) -> str:
    """Why the upload's run is left to its task; empty if it is not."""
    if found.kind in IN_PROGRESS:
        return f"{found.kind}: {found.detail}"
    run = found.latest
    if run is not None and run.has_task and not run.in_batch:
        # The run has ended and its task is stopping: a retry now would start a second task.
        return f"its task still exists, though {found.detail}"
    return ""
