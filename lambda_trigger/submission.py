"""Settling an upload: the requests to S3 and Prefect that lead to its outcome, in order."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lambda_trigger.clients.aws_answers import ObjectHead, Unreadable
from lambda_trigger.clients.aws_api import AwsApi
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import FlowRun, PrefectApi
from lambda_trigger.decisions.batches import Batchable, is_small
from lambda_trigger.decisions.inbox_rules import Candidate, SettingsXml, judge_key
from lambda_trigger.decisions.outcomes import (
    BACKFILL,
    Ignored,
    Outcome,
    Reason,
    Rejected,
    Submitted,
    Upload,
    Waiting,
)
from lambda_trigger.decisions.rules_document import BatchRule, Rules
from lambda_trigger.decisions.run_identity import (
    RunRequest,
    idempotency_key,
    run_name,
    run_tags,
    uri,
)
from lambda_trigger.decisions.sidecars import (
    ListedObject,
    choose_sidecar,
    is_settings_xml,
    named_sidecar,
)
from lambda_trigger.decisions.sonar_model import (
    ChosenModel,
    decide_model,
    declared_model,
)
from lambda_trigger.settings_arrival import ArrivedSettings, SettingsSerials
from sonar_models import HEAD_BYTES, SONAR_MODELS
from task_sizes import size_for

# The state of a run whose file or sidecar was in an archive tier (flows/core/outcomes.py, Archived).
ARCHIVED = "Archived"
RESTORED_MESSAGE = "the file was in an archive tier and can be read again"
UNREADABLE: dict[Unreadable, Outcome] = {
    "gone": Ignored(Reason.SUPERSEDED, "the object is gone"),
    "replaced": Ignored(Reason.SUPERSEDED, "the object was replaced; the newer one is notified"),
    "empty": Rejected(Reason.EMPTY, "the object is empty"),
    "archived": Waiting(Reason.RESTORE, "archived; it starts when it is restored"),
}


@dataclass
class Submission:
    """Settles the uploads of one invocation.

    Listings are cached for one invocation only. Data and their XML find each other
    because the later of the two notifications lists the folder when both are there.
    A listing of this invocation is newer than every upload that it was notified of,
    so the cache is safe.

    With `batch`, a small upload gives Batchable: the caller creates one run for several.
    """

    rules: Rules
    storage: AwsApi
    flow_runs: PrefectApi
    deadline: Deadline
    batch: BatchRule | None = None
    xmls: dict[tuple[str, str], list[ListedObject]] = field(default_factory=dict)
    serials: SettingsSerials = field(default_factory=SettingsSerials)

    def settle(
        self, upload: Upload, queue_arn: str | None
    ) -> Iterator[tuple[Upload, Outcome | Batchable]]:
        """Settle an upload; for a settings XML, settle the data that waited for it too.

        Each outcome is yielded as soon as it is known. `queue_arn` names the queue
        of the notification, if there is one.

        Raises:
            TransportError: a service did not answer. Runs that exist already are
                found again at the next attempt.
        """
        if upload.is_restore and upload.bucket in self.rules.archive_buckets:
            # In the backfill lane, a thousand restored files do not delay today's uploads.
            upload = replace(upload, lane=BACKFILL)
        verdict = judge_key(upload.bucket, upload.key, self.rules)
        if isinstance(verdict, SettingsXml):
            arrived = ArrivedSettings(
                upload, self.rules, self.storage, self.deadline, self._settle_data
            )
            yield from arrived.settle_data(queue_arn)
        elif isinstance(verdict, Candidate):
            yield self._settle_data(upload, verdict)
        else:
            yield upload, verdict

    def _settle_data(
        self, upload: Upload, candidate: Candidate
    ) -> tuple[Upload, Outcome | Batchable]:
        found = self.storage.read_head(
            upload.bucket, upload.key, etag=upload.etag, count=HEAD_BYTES, deadline=self.deadline
        )
        if not isinstance(found, ObjectHead):
            return upload, UNREADABLE[found]
        if upload.version_id not in {None, "null", found.version_id}:
            return upload, Ignored(
                Reason.SUPERSEDED,
                f"the object is now version {found.version_id}, which is notified on its own",
            )
        # A notification may lack the version (one made from a listing does), but S3's answer
        # always has it. So every envelope of an upload leads to the same identity.
        current = replace(upload, size=found.size, etag=found.etag, version_id=found.version_id)
        return current, self._decide(current, candidate, found)

    def _decide(
        self, upload: Upload, candidate: Candidate, found: ObjectHead
    ) -> Outcome | Batchable:
        if found.size == 0:
            return UNREADABLE["empty"]
        if found.size > self.rules.reject_above:
            return Rejected(
                Reason.TOO_LARGE, f"{found.size} bytes, the limit is {self.rules.reject_above}"
            )
        tags = (
            self.storage.tags(upload.bucket, upload.key, self.deadline) if found.tag_count else {}
        )
        declared = declared_model(upload.key, found.metadata, tags)
        if isinstance(declared, Rejected):
            return declared
        model = decide_model(declared, candidate.models, found.head)
        if isinstance(model, Rejected):
            return model
        xml: ListedObject | None = None
        if SONAR_MODELS[model.model].needs_xml:
            choice = choose_sidecar(
                upload.bucket,
                upload.key,
                candidate.rule,
                lambda folder: self._xmls_in(upload.bucket, folder),
                named_sidecar(found.metadata, tags),
                of_several=lambda xmls: (
                    self.serials.choose(self.storage, upload.bucket, xmls, found, self.deadline)
                    or self._submitted_with(upload, candidate, xmls)
                ),
            )
            if not isinstance(choice, ListedObject):
                return choice
            xml = choice
        return self._submit(upload, candidate, model, xml)

    def _submitted_with(
        self, upload: Upload, candidate: Candidate, xmls: list[ListedObject]
    ) -> ListedObject | None:
        """The XML that the upload has been submitted with; None if it has not, or with several.

        S3 dates objects in full seconds, so times cannot always show which XML was there first.
        """
        identities = {_identity(upload, candidate, xml, 0): xml for xml in xmls}
        found = self.flow_runs.existing(list(identities), self.deadline)
        return identities[found.pop()] if len(found) == 1 else None

    def _submit(
        self, upload: Upload, candidate: Candidate, model: ChosenModel, xml: ListedObject | None
    ) -> Outcome | Batchable:
        rule, size = candidate.rule, upload.size or 0
        paused = None
        if size > self.rules.pause_above:
            paused = (
                f"{size} bytes is over the limit of {self.rules.pause_above}: "
                "resume the run if the file is intended"
            )
        task = size_for(model.model, size)
        wanted = RunRequest(
            deployment=rule.deployment,
            name=run_name(upload.key, model.model, rule),
            tags=run_tags(upload, model.model, rule, task.name),
            idempotency_key=_identity(upload, candidate, xml, upload.generation),
            parameters=self._parameters(upload, candidate, model, xml),
            job_variables=task.job_variables | rule.job_variables,
            lane=upload.lane,
            paused=paused,
            is_forced=upload.generation > 0,
        )
        if self.batch and is_small(upload, rule, wanted, self.batch):
            return Batchable(wanted, model.model, task.name)
        run = self.flow_runs.create_run(wanted, self.deadline)
        outcome = submitted(run, wanted, model.model, task.name)
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": RESTORED_MESSAGE}
        was_archived = not run.created and run.state == ARCHIVED
        if was_archived and self.flow_runs.set_state(run.id, state, self.deadline):
            return replace(outcome, reason=Reason.RESTORED, detail=RESTORED_MESSAGE)
        return outcome

    def _parameters(
        self, upload: Upload, candidate: Candidate, model: ChosenModel, xml: ListedObject | None
    ) -> dict[str, Any]:
        return {
            **candidate.rule.parameters,
            **({"allow_partial": True} if upload.allow_partial else {}),
            "raw_file": uri(upload.bucket, upload.key),
            "sonar_model": model.model,
            "sonar_model_source": model.source,
            "xml_path": uri(upload.bucket, xml.key) if xml else None,
            "output_path": uri(self.rules.output_bucket, candidate.output_key),
            "output_type": candidate.rule.output_type,
            "overwrite": True,
            "source_etag": upload.etag,
            "source_version_id": upload.version_id,
            "sidecar_etags": _sidecar_etags(upload, xml),
        }

    def _xmls_in(self, bucket: str, folder: str) -> list[ListedObject]:
        if (bucket, folder) not in self.xmls:
            listing = self.storage.list_objects(bucket, folder, self.deadline, below=False)
            self.xmls[bucket, folder] = [item for item in listing if is_settings_xml(item)]
        return self.xmls[bucket, folder]


def _identity(
    upload: Upload, candidate: Candidate, xml: ListedObject | None, generation: int
) -> str:
    return idempotency_key(
        candidate.rule.deployment,
        upload.bucket,
        upload.key,
        upload.version_id or upload.etag or "",
        sidecar_etags=_sidecar_etags(upload, xml),
        generation=generation,
    )


def _sidecar_etags(upload: Upload, xml: ListedObject | None) -> dict[str, str]:
    return {uri(upload.bucket, xml.key): xml.etag} if xml else {}


def submitted(run: FlowRun, wanted: RunRequest, sonar_model: str, size: str) -> Submitted:
    """Return the outcome of an upload with this run."""
    created = Reason.PAUSED if wanted.paused else Reason.NEW
    reason = created if run.created else Reason.EXISTING
    return Submitted(reason, run.id, run.name, sonar_model, f"state {run.state}", size)
