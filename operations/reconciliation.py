"""Every upload brought to its one class: inbox against manifests against flow runs.

Most uploads are settled by two listings and their manifest. Only the others
are looked at closer, see `closer_look`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from flows.locations import S3Location
from lambda_trigger.aws_api import Listed
from lambda_trigger.inbox_rules import Candidate, judge_key
from lambda_trigger.run_identity import uri
from lambda_trigger.sidecars import choose_sidecar
from operations.classification import Limits, is_dead, under_way
from operations.closer_look import LOT as CLOSER_LOT
from operations.closer_look import CloserLook
from operations.findings import Finding, Kind, Source
from operations.foresight import is_of_azfp
from operations.inventory import Inventory, ListedOutput
from operations.listings import read_manifest_of, source_named
from operations.output_state import (
    ManifestFacts,
    ManifestUnreadableError,
    OutputFacts,
    judge_output,
)
from operations.parallel import in_parallel
from operations.scope import Scope
from operations.services import Services
from operations.stock_taking import Progress, StockTaking


@dataclass
class Reconciliation:
    """One look at the whole. `now` is when it began, and what ages are reckoned from."""

    services: Services
    scope: Scope = field(default_factory=Scope)
    limits: Limits = field(default_factory=Limits)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    progress: Progress = lambda _what, _done, _total: None

    def findings(self) -> Iterator[Finding]:
        """Give one finding for each upload, one for each output that has none, and one for each other run that is dead.

        Of an archive an upload is looked at where it has a run that has not
        completed, or an output: it may hold any number of objects that nobody asks for.

        Raises:
            ClientError: S3 refuses; TransportError: it does not answer;
            PrefectUnavailableError: Prefect does not.
        """
        with Inventory() as inventory:
            stock = StockTaking(self.services, self.scope, self.closer_look, self.progress)
            yield from stock.of_inbox(inventory)
            if self.scope.since is None:
                stock.of_outputs(inventory)
                stock.of_archives(inventory)
            told: set[str] = set()
            for finding in self._of_uploads(inventory):
                told.add(finding.run_id)
                yield finding
            if self.scope.since is None:
                yield from self._of_outputs_without_source(inventory)
                yield from self.dead_runs(told)

    @property
    def closer_look(self) -> CloserLook:
        """Looks at single uploads, of this moment and with these limits."""
        return CloserLook(self.services, self.limits, self.now, self.scope)

    def _of_uploads(self, inventory: Inventory) -> Iterator[Finding]:
        total, closer_look = inventory.source_count(), self.closer_look
        looked_at = in_parallel(self._first_look, inventory.sources())
        open_questions: list[tuple[Source, str]] = []
        for number, (source, output, facts) in enumerate(looked_at, start=1):
            self.progress("reading manifests", number, total)
            if facts is not None and self._is_settled(source, facts, inventory):
                yield Finding(Kind.DONE, source.uri, source=source, since=source.modified)
                continue
            open_questions.append((source, output))
            if len(open_questions) == CLOSER_LOT:
                yield from closer_look.at(open_questions)
                open_questions.clear()
        yield from closer_look.at(open_questions)

    def _first_look(
        self, row: tuple[Source, ListedOutput]
    ) -> tuple[Source, str, OutputFacts | None]:
        source, output = row
        name = output.output
        counted = self.scope.since is None
        if counted and not output.has_manifest:
            return source, name, None
        try:
            manifest = self._manifest(name)
        except ManifestUnreadableError:
            return source, name, None
        objects = output.objects if counted else None
        facts = OutputFacts(objects, output.bytes, manifest)
        if manifest is None or not self.closer_look.verified(name, facts):
            return source, name, None
        return source, name, facts

    def _manifest(self, output: str) -> ManifestFacts | None:
        return read_manifest_of(self.services.s3, self.services.rules.output_bucket, output)

    def _is_settled(self, source: Source, facts: OutputFacts, inventory: Inventory) -> bool:
        """Whether the output is of this very upload, with no question left about its settings."""
        if judge_output(source, facts).state != "current" or facts.manifest is None:
            return False
        candidate = judge_key(source.bucket, source.key, self.services.rules)
        if not isinstance(candidate, Candidate) or not is_of_azfp(candidate):
            return True
        if source.bucket != self.services.rules.inbox_bucket:
            # Only the inbox's settings XMLs are listed.
            return False
        xml = choose_sidecar(source.bucket, source.key, candidate.rule, inventory.settings_in, None)
        # An XML that the upload's metadata name is found out in the closer look.
        if not isinstance(xml, Listed):
            return False
        return facts.manifest.settings.get(uri(source.bucket, xml.key)) == xml.etag

    def dead_runs(self, told: set[str]) -> Iterator[Finding]:
        """Give a finding for each run whose task is gone, but for those (by id) that were told of.

        Whatever became of its files: it is done all the same, or another by now,
        or its batch died behind its last file. It takes a place of its lane's.
        """
        rules = self.services.rules
        others = [
            run
            for run in self.services.runs.with_tasks()
            if run.id not in told and self.scope.takes(rules, run.raw_file)
        ]
        tasks = self.services.tasks.of(others)
        for run in others:
            facts = replace(run, has_task=tasks.get(run.id))
            if is_dead(facts, self.limits, self.now):
                yield under_way(run.raw_file, facts, self.limits, self.now)

    def _of_outputs_without_source(self, inventory: Inventory) -> Iterator[Finding]:
        for each in in_parallel(self._without_source, inventory.outputs_without_source()):
            if each is not None:
                yield each

    def _without_source(self, output: ListedOutput) -> Finding | None:
        rules = self.services.rules
        place = S3Location(rules.output_bucket, output.output).uri
        since = datetime.fromisoformat(output.modified) if output.modified else None
        if since is not None and self.now - since < self.limits.arriving:
            # Its upload may have come after the inbox was listed.
            return None
        source = source_named(self.services.s3, rules.output_bucket, output)
        if source and not self.scope.takes(rules, source):
            # Of neither inbox nor archive: converted by hand.
            return None
        if output.has_manifest:
            told = f"made from {source}" if source else "a manifest that can't be read"
        elif output.objects:
            told = f"{output.objects} objects without a manifest"
        elif output.has_report:
            told = f"the failure report of {source or 'an upload'}, which is gone"
        else:
            return None
        return Finding(Kind.OUTPUT_WITHOUT_SOURCE, place, told, since)
