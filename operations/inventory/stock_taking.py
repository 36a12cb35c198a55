"""Fills the inventory with the inbox, the outputs, and the relevant uploads of archives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from lambda_trigger.decisions.inbox_rules import Candidate, SettingsXml, judge_key
from operations.clients.connections import OperationsServices
from operations.clients.parallel import Progress, in_parallel
from operations.clients.prefect_runs import FAILED_OR_CRASHED, UNFINISHED
from operations.clients.trigger_decision import output_prefixes
from operations.findings.classification import not_converted
from operations.findings.findings import Source, UploadFinding
from operations.inventory.archive_items import InventoryReport
from operations.inventory.inventory import Inventory
from operations.inventory.listings import listed, source_named
from operations.inventory.upload_inspection import Scope, UploadInspector

# Uploads added to the inventory at once.
LOT = 1000


@dataclass(frozen=True)
class StockTaking:
    """Lists everything in scope; `inspector` looks up single uploads."""

    services: OperationsServices
    scope: Scope
    inspector: UploadInspector
    progress: Progress

    def of_inbox(self, inventory: Inventory) -> Iterator[UploadFinding]:
        """Add the uploads; yield a finding for those that the rules ignore or reject."""
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
            else:
                yield not_converted(source, verdict)
        inventory.add_sources(lot)

    def of_outputs(self, inventory: Inventory, report: InventoryReport | None = None) -> None:
        """Add the outputs of all keys in scope, from a listing or from an S3 inventory.

        Raises:
            ClientError: S3 refuses; ArchiveError: the inventory can't be read.
        """
        prefixes = tuple(output_prefixes(self.services.rules, self.scope.prefix))

        def parts() -> Iterator[tuple[str, int, datetime | None]]:
            if report is not None:
                for named in report.items():
                    if named.key.startswith(prefixes):
                        yield named.key, named.size or 0, None
                return
            for prefix in prefixes:
                for item in listed(self.services.s3, self.services.rules.output_bucket, prefix):
                    yield item.key, item.size, item.modified

        def reported() -> Iterator[tuple[str, int, datetime | None]]:
            for number, part in enumerate(parts(), start=1):
                self.progress("listing outputs", number, None)
                yield part

        inventory.add_outputs(reported())

    def of_archives(self, inventory: Inventory) -> None:
        """Add archive uploads that have an unfinished or failed run, an output or a failure report."""
        archives = tuple(f"s3://{bucket}/" for bucket in self.services.rules.archive_buckets)
        if not archives:
            return
        wanted = (
            each
            for each in self._named(inventory)
            if each.startswith(archives) and self.scope.takes(self.services.rules, each)
        )
        taken = in_parallel(self.inspector.upload_now, wanted)
        found = ((each[1], each[0]) for each in taken if not isinstance(each, UploadFinding))
        number = 0
        while lot := list(islice(found, LOT)):
            number += len(lot)
            self.progress("checking archives", number, None)
            inventory.add_sources(lot)

    def _named(self, inventory: Inventory) -> Iterator[str]:
        for run in self.services.runs.in_states((*UNFINISHED, *FAILED_OR_CRASHED)):
            yield run.raw_file
        s3, bucket = self.services.s3, self.services.rules.output_bucket
        yield from in_parallel(
            lambda output: source_named(s3, bucket, output), inventory.outputs_without_source()
        )
