"""Which uploads are sent again, and in which way. The decision is pure.

Under the same identity wherever that can help: a finished upload is left, one
under way too, and a run that failed is started once more. What the trigger
would ask differently by now (rules or declaration were mended since) can't be
had from the old run, whose parameters stay: that is a new generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lambda_trigger.rules_document import Rules
from operations.classification import RunFacts, again
from operations.findings import Action, End, Finding, Kind, Notify
from operations.prefect_runs import ENDED_BADLY, FlowRuns
from operations.scope import Scope

_UNDER_WAY = frozenset({Kind.QUEUED, Kind.LATE, Kind.RUNNING, Kind.STUCK, Kind.PAUSED})
# The trigger would make no run of these, whatever is sent.
_NOT_TAKEN = frozenset({Kind.IGNORED, Kind.REJECTED, Kind.WAITING, Kind.OVERDUE, Kind.CONTESTED})


@dataclass(frozen=True)
class RunChoice:
    """Runs that ended between two times.

    Attributes:
        outcomes: names of states, such as BadFile; none for all that failed or crashed.
        version: of the deployment that the run was asked of.
    """

    since: datetime | None = None
    until: datetime | None = None
    prefix: str = ""
    outcomes: tuple[str, ...] = ()
    version: str = ""

    def uploads(self, runs: FlowRuns, rules: Rules) -> list[str]:
        """URIs of the uploads, of inbox and archives, that the chosen runs were of, each once.

        All are asked for before the first is sent: a run that is retried leaves
        the pages that are still to come.
        """
        states = () if self.outcomes else ENDED_BADLY
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
        """Whether the upload was run again since a run of it was chosen, by an earlier call for one.

        A file of a batch ends before its batch does, so that `since` says nothing of it.
        """
        ended_so = (
            latest.state_name in self.outcomes
            if self.outcomes
            else latest.state_type in ENDED_BADLY
        )
        in_time = self.until is None or latest.since <= self.until
        return not (ended_so and in_time and self.version in {"", latest.version})


@dataclass(frozen=True, slots=True)
class ToReplay:
    """What is to be done about one upload; `why` where nothing is."""

    action: Action | None
    why: str = ""
    settled: bool = False


def decide_replay(found: Finding, *, force: bool, choice: RunChoice | None = None) -> ToReplay:
    """Say how an upload is brought to its output again.

    Args:
        found: what is known of it.
        force: convert it anew though it was converted.
        choice: that its run was chosen by, where it was not named.
    """
    run = found.latest
    if found.source is None or found.kind in _NOT_TAKEN:
        return ToReplay(None, f"{found.kind}: {found.detail}")
    if why := _under_way(found):
        # A run that waits for a task that is gone is ended first.
        end = found.action if isinstance(found.action, End) else None
        return ToReplay(end, why, settled=True)
    if why := _settled(found, choice, force=force):
        return ToReplay(None, why, settled=True)
    if run is None:
        return ToReplay(Notify(0))
    if force or run.state_type not in ENDED_BADLY or found.asks_otherwise:
        return ToReplay(Notify(run.generation + 1, lane=run.lane))
    return ToReplay(again(run))


def _settled(found: Finding, choice: RunChoice | None, *, force: bool) -> str:
    """Why nothing is left to be done; empty where something is."""
    if found.kind is Kind.DONE and not force:
        return "done"
    if choice and found.latest and choice.is_outdated_by(found.latest):
        return "run again since"
    return ""


def _under_way(found: Finding) -> str:
    """Why the upload's run has to be left to its task; empty where it has not."""
    if found.kind in _UNDER_WAY:
        return f"{found.kind}: {found.detail}"
    run = found.latest
    if run is not None and run.has_task and not run.in_batch:
        # It has ended, its task is about to: started again now, it would have two.
        return f"its task is still there, though {found.detail}"
    return ""
