"""What the trigger would decide about an upload now, by the trigger's own code, without Prefect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_trigger.clients.aws_api import AwsApi
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import FlowRun
from lambda_trigger.clients.http_client import HttpClient
from lambda_trigger.clients.sigv4 import Credentials
from lambda_trigger.decisions.inbox_rules import Candidate
from lambda_trigger.decisions.outcomes import Ignored, Rejected, Upload, Waiting
from lambda_trigger.decisions.rules_document import Rules
from lambda_trigger.decisions.run_identity import RunRequest, idempotency_key
from lambda_trigger.submission import Submission
from operations.clients.parallel import THREADS
from operations.findings.findings import Source

# Seconds for all requests about one upload, including the waits between attempts.
_PATIENCE = 120


def storage_of(credentials: Credentials, region: str, endpoint_url: str | None) -> AwsApi:
    """The trigger's S3 client, for any number of threads."""
    return AwsApi(HttpClient(THREADS), credentials, region, endpoint_url)


@dataclass
class _RecordingPrefect:
    """Replaces Prefect in a decision: records the requested run and creates nothing."""

    find: Callable[[Sequence[str]], Iterable[str]]
    request: RunRequest | None = None

    def existing(self, identities: Sequence[str], deadline: Deadline) -> set[str]:
        del deadline
        return set(self.find(identities))

    def create_run(self, wanted: RunRequest, deadline: Deadline) -> FlowRun:
        del deadline
        self.request = wanted
        return FlowRun("", wanted.name, "", created=False)


@dataclass(frozen=True)
class TriggerDecision:
    """The run that the trigger would request, or the reason why it would request none."""

    request: RunRequest | None
    verdict: Waiting | Ignored | Rejected | None

    @property
    def settings(self) -> dict[str, str]:
        """Entity tags, by URI, of the settings XML that the run would use."""
        return dict(self.request.parameters["sidecar_etags"]) if self.request else {}


@dataclass
class TriggerDecisions:
    """Runs the trigger's own decision; it reads S3 and changes nothing.

    `existing_runs` returns which of some identities have a run.
    """

    rules: Rules
    storage: AwsApi
    existing_runs: Callable[[Sequence[str]], Iterable[str]] = lambda _identities: ()

    def of(self, source: Source) -> TriggerDecision:
        """Decide about this upload."""
        prefect: Any = _RecordingPrefect(self.existing_runs)
        submission = Submission(self.rules, self.storage, prefect, Deadline(_PATIENCE))
        upload = Upload(source.bucket, source.key, source.size, source.etag)
        (_, outcome), *_ = submission.settle(upload, None)
        if isinstance(outcome, Waiting | Ignored | Rejected):
            return TriggerDecision(None, outcome)
        return TriggerDecision(prefect.request, None)


def identity(request: RunRequest, source: Source, generation: int) -> str:
    """The identity of this upload's run in a generation; see `run_identity.idempotency_key`."""
    parameters = request.parameters
    return idempotency_key(
        request.deployment,
        source.bucket,
        source.key,
        parameters["source_version_id"] or parameters["source_etag"] or "",
        sidecar_etags=parameters["sidecar_etags"],
        generation=generation,
    )


def output_prefixes(rules: Rules, prefix: str) -> list[str]:
    """The prefixes of the outputs of all keys that start with a prefix; they do not overlap."""
    own = rules.rule_for(prefix)
    below = [rule for rule in rules.prefixes if rule.prefix.startswith(prefix) and not rule.ignore]
    found = {rule.output_prefix for rule in below}
    if own is not None and not own.ignore:
        # The outputs of an archive are in a folder of their own below the mapped prefix.
        for folder in ("", *(f"{bucket}/" for bucket in rules.archive_buckets)):
            found.add(own.output_prefix + folder + prefix[len(own.prefix) :])
    return sorted(
        each for each in found if not any(each != top and each.startswith(top) for top in found)
    )


def is_of_azfp(candidate: Candidate) -> bool:
    """Whether a settings XML is part of the upload's identity."""
    return "AZFP" in candidate.models


def decision_in_words(decision: TriggerDecision) -> str:
    """The trigger's decision in one sentence."""
    verdict = decision.verdict
    if verdict is not None:
        detail = f": {verdict.detail}" if verdict.detail else ""
        name = type(verdict).__name__
        return f"{name}: {verdict.reason}{detail}"
    assert decision.request is not None  # noqa: S101 - without a verdict there is a request
    request, parameters = decision.request, decision.request.parameters
    model = f"{parameters['sonar_model']}, by its {parameters['sonar_model_source']}"
    settings = f", with {parameters['xml_path']}" if parameters["xml_path"] else ""
    paused = f"; paused: {request.paused}" if request.paused else ""
    return f"{model}; run of {request.deployment}{settings}{paused}"
