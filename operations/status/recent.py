"""Shows the state of recent uploads, and of older ones that have unfinished or failed runs.

Uploads stored within the window get the same classes as in a reconciliation. Older
uploads, and those of an archive, are included if Prefect has an unfinished run of them,
a run that ended with a fault of the file, or one that failed or crashed in the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain

from flows.failures.failure_report import FAILURES
from operations.clients.prefect_runs import FAILED_OR_CRASHED, UNFINISHED
from operations.findings.classification import unfinished_finding
from operations.findings.findings import RunFacts, UploadFinding
from operations.reconcile.reconciliation import Reconciliation


@dataclass(frozen=True)
class Status:
    """The status of the uploads of the last `window`."""

    reconciliation: Reconciliation
    window: timedelta = timedelta(hours=24)

    def findings(self) -> Iterator[UploadFinding]:
        """Yield a finding for each upload of the window, then for each older one with such a run.

        Raises:
            ClientError, TransportError, PrefectUnavailableError: as `Reconciliation.findings`.
        """
        whole = self.reconciliation
        since = whole.now - self.window
        seen, runs_seen = set[str](), set[str]()
        for finding in replace(whole, scope=replace(whole.scope, since=since)).findings():
            seen.add(finding.uri)
            runs_seen.add(finding.run_id)
            yield finding
        older = list(self._older(seen, UNFINISHED))
        tasks = whole.services.tasks.of(older)
        for run in older:
            facts = replace(run, has_task=tasks.get(run.id))
            runs_seen.add(run.id)
            yield unfinished_finding(run.raw_file, facts, whole.limits, whole.now)
        # A failed run is not enough: a later generation may have converted the upload since.
        of_the_file = sorted(name for name, failure in FAILURES.items() if failure.of_the_file)
        failed = chain(
            self._older(seen, FAILED_OR_CRASHED, since),
            self._older(seen, FAILED_OR_CRASHED, names=of_the_file),
        )
        yield from whole.inspector.at_uris(run.raw_file for run in failed)
        yield from whole.dead_runs(runs_seen)

    def _older(
        self,
        seen: set[str],
        states: Sequence[str],
        since: datetime | None = None,
        names: Sequence[str] = (),
    ) -> Iterator[RunFacts]:
        whole = self.reconciliation
        for run in whole.services.runs.in_states(states, since, names=names):
            if whole.scope.takes(whole.services.rules, run.raw_file) and run.raw_file not in seen:
                seen.add(run.raw_file)
                yield run
