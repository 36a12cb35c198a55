"""The request for a flow run, its identity, name and tags, and S3 URIs."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lambda_trigger.decisions.outcomes import Upload
from lambda_trigger.decisions.rules_document import PrefixRule
from sonar_models import SONAR_MODELS


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The flow run to create.

    `lane` is a work queue of the deployment's pool. `paused` is the reason why the
    run waits for an operator. `is_forced` asks for a conversion of what is published already.
    """

    deployment: str
    name: str
    tags: list[str]
    idempotency_key: str
    parameters: dict[str, Any]
    job_variables: dict[str, Any]
    lane: str
    paused: str | None = None
    is_forced: bool = False


def idempotency_key(
    deployment: str,
    bucket: str,
    key: str,
    version: str,
    *,
    sidecar_etags: Mapping[str, str],
    generation: int,
) -> str:
    """Derive the identity of a run: 64 hex digits.

    All notifications of one upload give the same identity, in any envelope. It includes the
    deployment, because Prefect keeps the key unique per flow across its deployments. It includes
    the sidecars, because corrected settings need a new conversion. `version` is the VersionId, or
    the ETag if the bucket is not versioned; `sidecar_etags` are by URI; `generation` is 0, or
    higher for a forced replay.
    """
    parts = [deployment, bucket, key, version, sorted(sidecar_etags.items()), generation]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def batch_tag(identity: str) -> str:
    """Return the tag of a batch that holds the file of this identity."""
    return f"file:{identity}"


def uri(bucket: str, key: str) -> str:
    """Return an object's URI; the key is not encoded."""
    return f"s3://{bucket}/{key}"


def cruise_path(key: str, rule: PrefixRule) -> str:
    """Return the cruise: the folders below the rule's prefix without those that name a model."""
    folders = key[len(rule.prefix) :].strip("/").split("/")[:-1]
    return "/".join(folder for folder in folders if folder and folder.upper() not in SONAR_MODELS)


def run_name(key: str, model: str, rule: PrefixRule) -> str:
    """Name the run: `<stem> · <model> · <cruise path>`. Long parts keep their end.

    The worker writes the name into a tag of the ECS task, and a tag may have 256
    characters: a run with a longer name would never start. A batch's name adds a few
    characters.
    """
    stem = key.rpartition("/")[2].rpartition(".")[0]
    cruise = cruise_path(key, rule) or rule.prefix.strip("/")
    parts = (_end_of(stem, 100), model, _end_of(cruise, 80))
    return " · ".join(part for part in parts if part)


def _end_of(text: str, limit: int) -> str:
    # Prefect normalizes the name first, and one character may become several, as ½ does.
    normalized = unicodedata.normalize("NFKC", text)
    return text if len(normalized) <= limit else "…" + normalized[-limit:]


def tag_of(tags: Iterable[str], name: str) -> str | None:
    """Return the text of the tag `name:text`."""
    return next((tag[len(name) + 1 :] for tag in tags if tag.startswith(f"{name}:")), None)


def run_tags(upload: Upload, model: str, rule: PrefixRule, size: str) -> list[str]:
    """Return the run's tags, which the UI can filter by; empty ones are left out.

    The tag `repair` marks a fix, so that the reconciliation can count its attempts.
    """
    cruise = cruise_path(upload.key, rule) or rule.prefix.strip("/")
    tags = {"bucket": upload.bucket, "model": model, "cruise": cruise, "tier": size}
    return [f"{name}:{text}" for name, text in tags.items() if text] + ["repair"] * upload.is_repair
