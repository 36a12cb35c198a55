"""Puts every upload into its class, by comparing inbox, manifests and flow runs.

For most uploads two listings and the manifest are enough. Only the others are
inspected closely, see `upload_inspection`. A run that knows what earlier ones found done
lists no outputs, and sends no requests about these uploads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from flows.core.locations import S3Location
from flows.products.jobs.product_jobs import products_are_on
from lambda_trigger.decisions.inbox_rules import Candidate, judge_key
from lambda_trigger.decisions.run_identity import uri
from lambda_trigger.decisions.sidecars import ListedObject, choose_sidecar
from lambda_trigger.decisions.wording import counted
from operations.clients.connections import OperationsServices
from operations.clients.parallel import Progress, in_parallel
from operations.clients.prefect_runs import FAILED_OR_CRASHED, UNFINISHED
from operations.clients.trigger_decision import is_of_azfp
from operations.findings.classification import ClassificationLimits, is_dead, unfinished_finding
from operations.findings.findings import WITHOUT_PRODUCTS, Kind, Source, UploadFinding
from operations.findings.output_state import ManifestUnreadableError, OutputFacts, judge_output
from operations.inventory.archive_items import InventoryReport
from operations.inventory.inventory import Inventory, ListedOutput
from operations.inventory.listings import listed_now, output_now, read_manifest_of, source_named
from operations.inventory.stock_taking import StockTaking
from operations.inventory.upload_inspection import LOT as INSPECTION_LOT
from operations.inventory.upload_inspection import Scope, UploadInspector
from operations.reconcile.settled import Settled, mark_of

# Prefect's clock may differ.
_SKEW = timedelta(minutes=10)


@dataclass
class Reconciliation:
    """One check of everything in scope.

    Attributes:
        settled: the uploads that earlier runs found done, which are checked again only in
            the hour in which their output is read in full. This run adds those that it
            finds done. If None, everything is checked and nothing is kept.
        inventory_of_outputs: an S3 inventory of the output bucket, used instead of a listing.
        wants_products: whether an output without current products gets a note. Only the listing
            of the outputs shows it, so there is no such note where they are not listed.
    """

    services: OperationsServices
    scope: Scope = field(default_factory=Scope)
    limits: ClassificationLimits = field(default_factory=ClassificationLimits)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    progress: Progress = lambda _what, _done, _total: None
    settled: Settled | None = None
    inventory_of_outputs: InventoryReport | None = None
    wants_products: bool = field(default_factory=lambda: products_are_on(os.environ))

    def findings(self) -> Iterator[UploadFinding]:
        """Yield one finding for each upload, each output without an upload, and each other dead run.

        An archive may hold any number of other objects. So only those of its objects are
        checked that have an output, or a run that has not completed.
        """
        with Inventory() as inventory:
            stock = StockTaking(self.services, self.scope, self.inspector, self.progress)
            yield from stock.of_inbox(inventory)
            if self._lists_outputs:
                stock.of_outputs(inventory, self.inventory_of_outputs)
            if self.scope.since is None:
                stock.of_archives(inventory)
            runs_seen: set[str] = set()
            scope = replace(self.scope, outputs=inventory.source_count())
            for finding in replace(self, scope=scope)._of_uploads(inventory):  # noqa: SLF001 - a copy of this object
                runs_seen.add(finding.run_id)
                yield finding
            if self.scope.since is None:
                yield from self._of_outputs_without_source(inventory)
                yield from self.dead_runs(runs_seen)

    @property
    def _lists_outputs(self) -> bool:
        return self.scope.since is None and (self.settled is None or self.settled.checks_everything)

    @property
    def inspector(self) -> UploadInspector:
        """The inspection of single uploads, with the same time and limits."""
        return UploadInspector(self.services, self.limits, self.now, self.scope)

    def _of_uploads(self, inventory: Inventory) -> Iterator[UploadFinding]:
        rows: Iterable[tuple[Source, ListedOutput]] = inventory.sources()
        total, inspector = inventory.source_count(), self.inspector
        if self.settled is not None and not self.settled.checks_everything:
            rows, run_since = [], self._run_since(self.settled)
            for source, output in inventory.sources():
                if source.uri not in run_since and self._is_known(
                    source, output.output, inventory, self.settled
                ):
                    yield UploadFinding(Kind.DONE, source.uri, source=source, since=source.modified)
                else:
                    rows.append((source, output))
            total = len(rows)
        checked = in_parallel(self._read_facts, rows)
        to_inspect: list[tuple[Source, str]] = []
        for number, (source, output, facts) in enumerate(checked, start=1):
            self.progress("reading manifests", number, total)
            if facts is not None and self._is_settled(source, output.output, facts, inventory):
                remarks = "; ".join(facts.manifest.remarks) if facts.manifest else ""
                done = (Kind.DONE, source.uri, remarks, source.modified, source)
                yield UploadFinding(*done, note=self._note(output))
                continue
            to_inspect.append((source, output.output))
            if len(to_inspect) == INSPECTION_LOT:
                yield from inspector.at(to_inspect)
                to_inspect.clear()
        yield from inspector.at(to_inspect)

    def _run_since(self, settled: Settled) -> set[str]:
        """The uploads (by URI) whose output a run may have changed since, such as a forced run that died."""
        runs = self.services.runs
        failed = runs.in_states(FAILED_OR_CRASHED, settled.kept_by and settled.kept_by - _SKEW)
        return {run.raw_file for each in (runs.in_states(UNFINISHED), failed) for run in each}

    def _is_known(
        self, source: Source, output: str, inventory: Inventory, settled: Settled
    ) -> bool:
        if self.scope.reads(output, self.now):
            return False
        chosen = self._chosen_settings(source, inventory)
        return chosen is not None and settled.knows(_mark(source, output, chosen))

    def _read_facts(
        self, row: tuple[Source, ListedOutput]
    ) -> tuple[Source, ListedOutput, OutputFacts | None]:
        source, output = row
        if self._lists_outputs and not output.has_manifest:
            return source, output, None
        facts = self._facts(output)
        name, unknown = output.output, facts.fault or facts.manifest is None
        is_sure = not unknown and self.inspector.verified(name, facts)
        return source, output, facts if is_sure else None

    def _note(self, output: ListedOutput) -> str:
        lacks = self.wants_products and self._lists_outputs and not output.products_are_current
        return WITHOUT_PRODUCTS if lacks else ""

    def _facts(self, output: ListedOutput) -> OutputFacts:
        bucket = self.services.rules.output_bucket
        if self.settled is not None and not self.settled.checks_everything:
            # The objects are counted now, because later runs skip an upload that was found done.
            return output_now(self.services.s3, bucket, output.output)
        objects = output.objects if self._lists_outputs else None
        try:
            manifest = read_manifest_of(self.services.s3, bucket, output.output)
        except ManifestUnreadableError as error:
            return OutputFacts(objects, output.bytes, fault=str(error))
        return OutputFacts(objects, output.bytes, manifest)

    def _is_settled(
        self, source: Source, output: str, facts: OutputFacts, inventory: Inventory
    ) -> bool:
        """Whether the output is made from this upload and the current settings."""
        if judge_output(source, facts)[0] is not Kind.DONE or facts.manifest is None:
            return False
        chosen = self._chosen_settings(source, inventory)
        if chosen is None or any(
            facts.manifest.settings.get(uri(source.bucket, xml.key)) != xml.etag for xml in chosen
        ):
            return False
        if self.settled is not None:
            self.settled.keep(_mark(source, output, chosen))
        return True

    def _chosen_settings(
        self, source: Source, inventory: Inventory
    ) -> tuple[ListedObject, ...] | None:
        """The settings XML of an upload, as listed; None if the listing does not show which it is."""
        candidate = judge_key(source.bucket, source.key, self.services.rules)
        if not isinstance(candidate, Candidate) or not is_of_azfp(candidate):
            return ()
        if source.bucket != self.services.rules.inbox_bucket:
            # Only the settings XMLs of the inbox are listed.
            return None
        xml = choose_sidecar(source.bucket, source.key, candidate.rule, inventory.settings_in, None)
        # Which XML the upload's metadata names is found by the inspection.
        return (xml,) if isinstance(xml, ListedObject) else None

    def dead_runs(self, seen: set[str]) -> Iterator[UploadFinding]:
        """Yield a finding for each run whose task is gone, except those (by id) already seen.

        Its file may be done, or replaced, or its batch may have died after its last file.
        The run still takes a place in its lane.
        """
        rules = self.services.rules
        others = [
            run
            for run in self.services.runs.with_tasks()
            if run.id not in seen and self.scope.takes(rules, run.raw_file)
        ]
        tasks = self.services.tasks.of(others)
        for run in others:
            facts = replace(run, has_task=tasks.get(run.id))
            if is_dead(facts, self.limits, self.now):
                yield unfinished_finding(run.raw_file, facts, self.limits, self.now)

    def _of_outputs_without_source(self, inventory: Inventory) -> Iterator[UploadFinding]:
        for each in in_parallel(self._without_source, inventory.outputs_without_source()):
            if each is not None:
                yield each

    def _without_source(self, output: ListedOutput) -> UploadFinding | None:
        rules = self.services.rules
        if self.inventory_of_outputs is not None:
            # An S3 inventory may be days old.
            output = listed_now(self.services.s3, rules.output_bucket, output.output)
        place = S3Location(rules.output_bucket, output.output).uri
        since = datetime.fromisoformat(output.modified) if output.modified else None
        if since is not None and self.now - since < self.limits.arriving:
            # Its upload may have come after the inbox was listed.
            return None
        source = source_named(self.services.s3, rules.output_bucket, output)
        if source and not self.scope.takes(rules, source):
            # From neither inbox nor archive: converted by hand.
            return None
        if output.has_manifest:
            detail = f"made from {source}" if source else "a manifest that can't be read"
        elif output.objects:
            detail = f"{counted(output.objects, 'object')} without a manifest"
        elif output.has_report:
            detail = f"the failure report of {source or 'an upload'}, which is gone"
        elif output.has_products:
            detail = "what was made from an output that is gone"
        else:
            return None
        return UploadFinding(Kind.OUTPUT_WITHOUT_SOURCE, place, detail, since)


def _mark(source: Source, output: str, settings: tuple[ListedObject, ...]) -> bytes:
    return mark_of(source, output, *(part for xml in settings for part in (xml.key, xml.etag)))
