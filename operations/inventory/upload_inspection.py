"""Inspects uploads one by one, when a listing alone does not decide their class.

The order is: the trigger's decision about the upload, the runs of that identity,
then the output as it is *now*. A run is read before its output, so the manifest of
a Completed run exists, and an output published meanwhile is not taken for a fault.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from flows.failures.failure_report import failure_named
from lambda_trigger.decisions.inbox_rules import (
    Candidate,
    judge_bucket,
    judge_key,
)
from lambda_trigger.decisions.outcomes import Ignored, Reason, Waiting
from lambda_trigger.decisions.rules_document import Rules
from operations.clients.connections import OperationsServices
from operations.clients.parallel import in_parallel
from operations.clients.prefect_api import PAGE
from operations.clients.prefect_runs import FAILED_OR_CRASHED
from operations.clients.trigger_decision import TriggerDecision, identity
from operations.findings.classification import (
    ClassificationLimits,
    classify,
    not_converted,
    waiting_finding,
)
from operations.findings.findings import Kind, RunFacts, Source, UploadFinding
from operations.findings.output_state import OutputFacts, OutputState, judge_output
from operations.inventory.listings import (
    checksum_now,
    output_now,
    read_report_of,
    source_now,
    upload_place,
)

# Generations of an upload in a request; if the last of them exists, more are requested.
GENERATIONS = 4
# Uploads whose identities fit into one request to Prefect.
LOT = PAGE // GENERATIONS


# Maximum outputs read in full in an hour, so that the cost does not grow with the archive.
READ_AN_HOUR = 200


@dataclass(frozen=True)
class Scope:
    """What to check.

    Attributes:
        prefix: only uploads whose keys start with this, in inbox and archives.
        since: only uploads stored after this; outputs without an upload are then left out.
        verify: read every output in full, and compare its checksum.
        verify_days: read each output once in so many days, a share of them in each hour. The
            period doubles until an hour has no more than `READ_AN_HOUR` outputs.
    """

    prefix: str = ""
    since: datetime | None = None
    verify: bool = False
    verify_days: int = 0
    outputs: int = 0

    def takes(self, rules: Rules, upload: str) -> bool:
        """Whether an upload (`s3://bucket/key`) is in scope."""
        bucket, _, key = upload.removeprefix("s3://").partition("/")
        ours = bucket == rules.inbox_bucket or bucket in rules.archive_buckets
        return ours and key.startswith(self.prefix)

    def reads(self, output: str, now: datetime) -> bool:
        """Whether an output (by key) is due to be read in full now."""
        if self.verify or not self.verify_days:
            return self.verify
        hours = 24 * self.verify_days
        # Doubling changes the period rarely as files arrive, and no output misses its turn.
        while self.outputs > READ_AN_HOUR * hours:
            hours *= 2
        return zlib.crc32(output.encode()) % hours == int(now.timestamp() // 3600) % hours


@dataclass(frozen=True)
class UploadInspector:
    """Inspects uploads as they are `now`; `scope` says which outputs are read in full."""

    services: OperationsServices
    limits: ClassificationLimits
    now: datetime
    scope: Scope = field(default_factory=Scope)

    def at_uris(self, uris: Iterable[str]) -> Iterator[UploadFinding]:
        """Yield the finding for each of these uploads, `s3://bucket/key`; one that is gone is ignored."""
        lot: list[tuple[Source, str]] = []
        for found in in_parallel(self.upload_now, uris):
            if isinstance(found, UploadFinding):
                yield found
                continue
            lot.append(found)
            if len(lot) == LOT:
                yield from self.at(lot)
                lot.clear()
        yield from self.at(lot)

    def at(self, uploads: Iterable[tuple[Source, str]]) -> Iterator[UploadFinding]:
        """Yield the finding for each of these uploads, given with the keys of their outputs."""
        listed = list(uploads)
        if not listed:
            return
        sources, outputs = zip(*listed, strict=True)
        decisions = list(in_parallel(self.services.decisions.of, sources))
        runs = self._runs_of(list(zip(sources, decisions, strict=True)))
        yield from in_parallel(
            lambda each: self._decide(*each), zip(sources, outputs, decisions, runs, strict=True)
        )

    def verified(self, output: str, facts: OutputFacts) -> bool:
        """Whether an output's checksum matches its manifest; True if it is not due for reading."""
        if not self.scope.reads(output, self.now) or facts.manifest is None:
            return True
        found = checksum_now(self.services.s3, self.services.rules.output_bucket, output)
        return found == facts.manifest.sha256

    def upload_now(self, upload: str) -> tuple[Source, str] | UploadFinding:
        """An upload (`s3://bucket/key`) as it is now, with the key of its output; a finding if it has none.

        Raises:
            ClientError: S3 refuses; ValueError: the URI names no object.
        """
        place = upload_place(upload)
        bucket, key = place.bucket, place.key
        if elsewhere := judge_bucket(bucket, self.services.rules):
            kind = Kind.IGNORED if isinstance(elsewhere, Ignored) else Kind.REJECTED
            return UploadFinding(kind, upload, f"{elsewhere.reason}: {elsewhere.detail}")
        source = source_now(self.services.s3, bucket, key)
        if source is None:
            return UploadFinding(Kind.IGNORED, upload, f"{Reason.SUPERSEDED}: the object is gone")
        verdict = judge_key(source.bucket, key, self.services.rules)
        if isinstance(verdict, Candidate):
            return source, verdict.output_key
        return not_converted(source, verdict)

    def _runs_of(self, uploads: list[tuple[Source, TriggerDecision]]) -> list[list[RunFacts]]:
        """Each upload's runs of all generations, with their tasks and number of starts."""
        found: list[list[RunFacts]] = [[] for _ in uploads]
        pending = [(number, *each) for number, each in enumerate(uploads) if each[1].request]
        first = 0
        while pending:
            wanted = {
                identity(decision.request, source, generation): (number, generation)
                for number, source, decision in pending
                if decision.request
                for generation in range(first, first + GENERATIONS)
            }
            runs = self.services.runs.by_identity(list(wanted))
            for each, run in runs.items():
                number, generation = wanted[each]
                found[number].append(replace(run, generation=generation))
            first += GENERATIONS
            pending = [
                each
                for each in pending
                if any(run.generation == first - 1 for run in found[each[0]])
            ]
        # ECS is asked after Prefect: a task reports its end to Prefect before it stops. So a run
        # that was unfinished before, and has no task now, is dead.
        tasks = self.services.tasks.of(run for runs_of in found for run in runs_of)
        return list(
            in_parallel(
                lambda runs_of: [
                    self._counted(replace(run, has_task=tasks.get(run.id))) for run in runs_of
                ],
                found,
            )
        )

    def _counted(self, run: RunFacts) -> RunFacts:
        """A run that also counts starts whose task never appeared: they use up attempts, too."""
        if (
            run.in_batch
            or run.state_type not in FAILED_OR_CRASHED
            or not failure_named(run.state_name).is_retryable
        ):
            return run
        return replace(run, starts=max(run.starts, 1 + self.services.runs.retries(run.id)))

    def _decide(
        self, source: Source, output: str, decision: TriggerDecision, runs: list[RunFacts]
    ) -> UploadFinding:
        verdict = decision.verdict
        if isinstance(verdict, Ignored):
            return not_converted(source, verdict)
        state = self._state_now(source, output, decision)
        if verdict is None or state[0] is Kind.DONE:
            # If it was archived, or its XML removed, after it was converted, it is done.
            failure = None
            if not runs and state[0] is not Kind.DONE:
                bucket = self.services.rules.output_bucket
                failure = read_report_of(self.services.s3, bucket, output)
            found = classify(source, runs, state, self.limits, self.now, failure)
            latest = max(runs, key=lambda run: run.generation, default=None)
            changed = latest is not None and _parameters_changed(decision, latest)
            return replace(found, latest=latest, parameters_changed=changed)
        if isinstance(verdict, Waiting):
            return waiting_finding(source, verdict, self.limits, self.now)
        return not_converted(source, verdict)

    def _state_now(self, source: Source, output: str, decision: TriggerDecision) -> OutputState:
        facts = output_now(self.services.s3, self.services.rules.output_bucket, output)
        if not self.verified(output, facts):
            facts = replace(facts, fault="its checksum does not match the manifest")
        return judge_output(source, facts, decision.settings)


def _parameters_changed(decision: TriggerDecision, run: RunFacts) -> bool:
    """Whether the trigger would now request other parameters than this run's; Prefect adds defaults."""
    if decision.request is None:
        return False
    wanted = decision.request.parameters
    return any(run.parameters.get(name) != value for name, value in wanted.items())
