"""Decides for each object of an archive whether it has to be sent, by its output and its runs."""

from __future__ import annotations

from dataclasses import dataclass

from lambda_trigger.decisions.inbox_rules import Candidate
from operations.clients.services import OperationsServices
from operations.clients.trigger_decision import is_of_azfp
from operations.findings.findings import IN_PROGRESS, Source
from operations.findings.output_state import ManifestUnreadableError, OutputFacts, judge_output
from operations.inventory.archive_items import ArchiveItem
from operations.inventory.listings import read_manifest_of, source_now
from operations.inventory.upload_inspection import UploadInspector

# Why an object is not sent.
PUBLISHED, RUNNING = "published at this version", "in progress"


@dataclass(frozen=True)
class WantedConversions:
    """Finds the generation to request for an object, or why it needs none.

    Attributes:
        services: S3, the trigger's decision, and the runs.
        inspector: finds the runs of an upload.
        force: convert published objects again, as a new generation.
    """

    services: OperationsServices
    inspector: UploadInspector
    force: bool = False

    def generation_of(self, item: ArchiveItem, candidate: Candidate) -> int | str:
        """The generation to request; a text is the reason why nothing is requested.

        Raises:
            ClientError, TransportError, PrefectUnavailableError: a service does not answer.
        """
        if not self.force:
            return PUBLISHED if self._is_published(item, candidate) else 0
        source = source_now(self.services.s3, item.bucket, item.key)
        if source is None:
            return 0
        (found,) = self.inspector.at([(source, candidate.output_key)])
        return RUNNING if found.kind in IN_PROGRESS else found.next_generation

    def _is_published(self, item: ArchiveItem, candidate: Candidate) -> bool:
        s3, bucket = self.services.s3, self.services.rules.output_bucket
        try:
            manifest = read_manifest_of(s3, bucket, candidate.output_key)
        except ManifestUnreadableError:
            return False
        if manifest is None:
            return False
        source: Source | None
        if item.etag is None or is_of_azfp(candidate):
            source = source_now(s3, item.bucket, item.key)
        else:
            source = Source(item.bucket, item.key, item.size or 0, item.etag, self.inspector.now)
        if source is None:
            return False
        # Other models are converted without settings.
        settings = self.services.decisions.of(source).settings if is_of_azfp(candidate) else None
        facts = OutputFacts(None, manifest=manifest)
        return judge_output(source, facts, settings).state == "current"
