"""Which uploads are sent again, and in which way. The decision is pure.

Under the same identity wherever that can help: a finished upload is left, one
under way too, and a run that failed is started once more. What the trigger
would ask differently by now (rules or declaration were mended since) can't be
had from the old run, whose parameters stay: that is a new generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from operations.classification import again
from operations.findings import Action, End, Finding, Kind, Notify
from operations.prefect_runs import FlowRuns

FAILED = ("FAILED", "CRASHED")
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

    def uploads(self, runs: FlowRuns, bucket: str) -> list[str]:
        """URIs of the uploads of the inbox `bucket` that the chosen runs were of, each once.

        All are asked for before the first is sent: a run that is retried leaves
        the pages that are still to come.
        """
        states = () if self.outcomes else FAILED
        wanted = f"s3://{bucket}/{self.prefix}"
        found = runs.in_states(states, self.since, self.until, names=self.outcomes)
        return list(
            dict.fromkeys(
                run.raw_file
                for run in found
                if run.raw_file.startswith(wanted) and self.version in {"", run.version}
            )
        )


@dataclass(frozen=True, slots=True)
class ToReplay:
    """What is to be done about one upload; `why` where nothing is."""

    action: Action | None
    why: str = ""
    settled: bool = False


def decide_replay(found: Finding, *, force: bool) -> ToReplay:
    """Say how an upload is brought to its output again.

    Args:
        found: what is known of it.
        force: convert it anew though it was converted.
    """
    run = found.latest
    if found.source is None or found.kind in _NOT_TAKEN:
        return ToReplay(None, f"{found.kind}: {found.detail}")
    if why := _under_way(found):
        # A run that waits for a task that is gone is ended first.
        end = found.action if isinstance(found.action, End) else None
        return ToReplay(end, why, settled=True)
    if found.kind is Kind.DONE and not force:
        return ToReplay(None, "done", settled=True)
    if run is None:
        return ToReplay(Notify(0))
    if force or run.state_type not in FAILED or found.asks_otherwise:
        return ToReplay(Notify(run.generation + 1))
    return ToReplay(again(run))


def _under_way(found: Finding) -> str:
    """Why the upload's run has to be left to its task; empty where it has not."""
    if found.kind in _UNDER_WAY:
        return f"{found.kind}: {found.detail}"
    run = found.latest
    if run is not None and run.has_task and not run.in_batch:
        # It has ended, its task is about to: started again now, it would have two.
        return f"its task is still there, though {found.detail}"
    return ""
