"""What became of the uploads of a window of time, and what is at work, waits or has failed besides.

The classes are reconciling's, over the uploads stored since. Prefect is asked
for runs whose uploads are older, or lie in an archive: those that have not
ended and those that ended for the file's own fault, whenever that was, and
those that ended badly in the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain

from flows.failure_report import FILE_FAULTS
from operations.classification import RunFacts, under_way
from operations.findings import Finding
from operations.prefect_runs import ENDED_BADLY, UNENDED
from operations.reconciliation import Reconciliation


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
        told, runs_told = set[str](), set[str]()
        for finding in replace(whole, scope=replace(whole.scope, since=since)).findings():
            told.add(finding.uri)
            runs_told.add(finding.run_id)
            yield finding
        older = list(self._older(told, UNENDED))
        tasks = whole.services.tasks.of(older)
        for run in older:
            facts = replace(run, has_task=tasks.get(run.id))
            runs_told.add(run.id)
            yield under_way(run.raw_file, facts, whole.limits, whole.now)
        # That a run has failed says little: a later generation may have done it since.
        failed = chain(
            self._older(told, ENDED_BADLY, since),
            self._older(told, ENDED_BADLY, names=sorted(FILE_FAULTS)),
        )
        yield from whole.closer_look.at_uris(run.raw_file for run in failed)
        yield from whole.dead_runs(runs_told)

    def _older(
        self,
        told: set[str],
        states: Sequence[str],
        since: datetime | None = None,
        names: Sequence[str] = (),
    ) -> Iterator[RunFacts]:
        whole = self.reconciliation
        for run in whole.services.runs.in_states(states, since, names=names):
            if whole.scope.takes(whole.services.rules, run.raw_file) and run.raw_file not in told:
                told.add(run.raw_file)
                yield run
