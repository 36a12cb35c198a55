"""Every upload brought to its one class: inbox against manifests against flow runs.

Most uploads are settled by two listings and their manifest. Only the others
are looked at closer, see `closer_look`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from flows.locations import S3Location
from lambda_trigger.aws_api import Listed
from lambda_trigger.inbox_rules import Candidate, SettingsXml, judge_key
from lambda_trigger.outcomes import Ignored, Reason
from lambda_trigger.run_identity import uri
from lambda_trigger.sidecars import choose_sidecar
from operations.classification import Limits, is_dead, turned_away, under_way
from operations.closer_look import LOT as CLOSER_LOT
from operations.closer_look import CloserLook
from operations.findings import Finding, Kind, Source
from operations.foresight import is_of_azfp, output_prefixes
from operations.inventory import Inventory, ListedOutput
from operations.listings import listed, read_manifest_of
from operations.output_state import (
    ManifestFacts,
    ManifestUnreadableError,
    OutputFacts,
    judge_output,
)
from operations.parallel import in_parallel
from operations.prefect_runs import ENDED_BADLY, UNENDED
from operations.scope import Scope
from operations.services import Services

# Uploads taken into the inventory at once.
LOT = 1000

# Told what is being done, how much of it is done, and how much there is (None: not known).
Progress = Callable[[str, int, int | None], None]


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
            yield from self._take_stock_of_inbox(inventory)
            if self.scope.since is None:
                self._take_stock_of_outputs(inventory)
                self._take_stock_of_archives(inventory)
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

    def _take_stock_of_inbox(self, inventory: Inventory) -> Iterator[Finding]:
        """Fill in the uploads; those that the rules turn away are found already."""
        rules = self.services.rules
        lot: list[tuple[str, Source]] = []
        listing = listed(self.services.s3, rules.inbox_bucket, self.scope.prefix)
        for number, source in enumerate(listing, start=1):
            self.progress("listing uploads", number, None)
            verdict = judge_key(source.bucket, source.key, rules)
            if isinstance(verdict, SettingsXml):
                inventory.add_settings(source)
            if self.scope.since is not None and source.modified < self.scope.since:
                continue
            if isinstance(verdict, Candidate):
                lot.append((verdict.output_key, source))
                if len(lot) == LOT:
                    inventory.add_sources(lot)
                    lot.clear()
            elif isinstance(verdict, SettingsXml):
                yield turned_away(source, Ignored(Reason.SIDECAR_USED, "settings XML"))
            else:
                yield turned_away(source, verdict)
        inventory.add_sources(lot)

    def _take_stock_of_outputs(self, inventory: Inventory) -> None:
        def parts() -> Iterator[tuple[str, int, datetime]]:
            number = 0
            for prefix in output_prefixes(self.services.rules, self.scope.prefix):
                for item in listed(self.services.s3, self.services.rules.output_bucket, prefix):
                    number += 1
                    self.progress("listing outputs", number, None)
                    yield item.key, item.size, item.modified

        inventory.add_outputs(parts())

    def _take_stock_of_archives(self, inventory: Inventory) -> None:
        """Fill in the archives' uploads that have a run to tell of, or an output whose manifest names them."""
        rules, runs = self.services.rules, self.services.runs
        archives = tuple(f"s3://{bucket}/" for bucket in rules.archive_buckets)
        if not archives:
            return

        def named() -> Iterator[str]:
            for run in runs.in_states((*UNENDED, *ENDED_BADLY)):
                yield run.raw_file
            for manifest in in_parallel(self._manifest_if_any, inventory.outputs_without_source()):
                if manifest is not None:
                    yield manifest.source_uri

        wanted = (each for each in named() if each.startswith(archives))
        taken = in_parallel(
            self.closer_look.upload_now, (each for each in wanted if self.scope.takes(rules, each))
        )
        found = ((each[1], each[0]) for each in taken if not isinstance(each, Finding))
        while lot := list(islice(found, LOT)):
            self.progress("looking at archives", len(lot), None)
            inventory.add_sources(lot)

    def _manifest_if_any(self, output: ListedOutput) -> ManifestFacts | None:
        if not output.has_manifest:
            return None
        try:
            return self._manifest(output.output)
        except ManifestUnreadableError:
            return None

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
        told = "a manifest that can't be read"
        if output.has_manifest:
            try:
                manifest = self._manifest(output.output)
            except ManifestUnreadableError as error:
                told += f" ({error})"
            else:
                if manifest is None or not self.scope.takes(rules, manifest.source_uri):
                    # Removed meanwhile; or of neither inbox nor archive: converted by hand.
                    return None
                told = f"made from {manifest.source_uri}"
        elif output.objects:
            told = f"{output.objects} objects without a manifest"
        elif output.has_report:
            told = "the failure report of an upload that is gone"
        else:
            return None
        return Finding(Kind.OUTPUT_WITHOUT_SOURCE, place, told, since)
