"""What became of the uploads of a window of time, and what is at work, waits or has failed besides.

The classes are reconciling's, over the uploads stored since. Prefect is asked
for runs whose uploads are older: those that have not ended, whenever they were
asked for, and those that ended badly in the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from operations.classification import RunFacts, under_way
from operations.findings import Finding
from operations.reconciliation import Reconciliation

UNENDED = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
ENDED_BADLY = ("FAILED", "CRASHED")


@dataclass(frozen=True)
class Status:
    """A look at the uploads of the last `window`."""

    reconciliation: Reconciliation
    window: timedelta = timedelta(hours=24)

    def findings(self) -> Iterator[Finding]:
        """Give one finding for each upload of the window, then for each older one that has a run to tell of.

        Raises:
            ClientError, TransportError, PrefectUnavailableError: as `Reconciliation.findings`.
        """
        whole = self.reconciliation
        since = whole.now - self.window
        told: set[str] = set()
        for finding in replace(whole, scope=replace(whole.scope, since=since)).findings():
            told.add(finding.uri)
            yield finding
        older = list(self._older(UNENDED, None, told))
        tasks = whole.services.tasks.of(older)
        for run in older:
            facts = replace(run, has_task=tasks.get(run.id))
            yield under_way(run.raw_file, facts, whole.limits, whole.now)
        # That a run has failed says little: a later generation may have done it since.
        failed = (run.raw_file for run in self._older(ENDED_BADLY, since, told))
        yield from whole.closer_look.at_uris(failed)

    def _older(
        self, states: Sequence[str], since: datetime | None, told: set[str]
    ) -> Iterator[RunFacts]:
        whole = self.reconciliation
        wanted = f"s3://{whole.services.rules.inbox_bucket}/{whole.scope.prefix}"
        for run in whole.services.runs.in_states(states, since):
            if run.raw_file.startswith(wanted) and run.raw_file not in told:
                told.add(run.raw_file)
                yield run
