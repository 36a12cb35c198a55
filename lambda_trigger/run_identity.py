"""Names of things: the run's identity, its name and tags for people, and S3 URIs."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping

from lambda_trigger.outcomes import Upload
from lambda_trigger.rules_document import PrefixRule
from lambda_trigger.sonar_model import MODELS


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

    Two notifications of one upload give the same, whatever their envelope. The
    deployment is in it because Prefect keeps the key unique to the flow, across
    its deployments; sidecars are, because corrected settings are a new
    conversion.

    Args:
        deployment: full name, `flow/deployment`.
        bucket: the inbox.
        key: the object's key.
        version: VersionId, or the ETag where the bucket is not versioned.
        sidecar_etags: ETags by URI.
        generation: 0; a forced replay raises it.
    """
    parts = [deployment, bucket, key, version, sorted(sidecar_etags.items()), generation]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def uri(bucket: str, key: str) -> str:
    """Write an object's URI, the key as it is."""
    return f"s3://{bucket}/{key}"


def cruise_path(key: str, rule: PrefixRule) -> str:
    """Name the cruise: the folders below the rule's prefix, without those that name a model."""
    folders = key[len(rule.prefix) :].strip("/").split("/")[:-1]
    return "/".join(folder for folder in folders if folder and folder.upper() not in MODELS)


def run_name(key: str, model: str, rule: PrefixRule) -> str:
    """Name the run for people: `<stem> · <model> · <cruise path>`, of long ones the end.

    The worker makes a tag of the ECS task of it, which may have 256 characters:
    a longer name would never start. A batch's name is a few longer than this.
    """
    stem = key.rpartition("/")[2].rpartition(".")[0]
    cruise = cruise_path(key, rule) or rule.prefix.strip("/")
    parts = (_end_of(stem, 100), model, _end_of(cruise, 80))
    return " · ".join(part for part in parts if part)


def _end_of(text: str, limit: int) -> str:
    # As Prefect counts it: one character may be spelt as several, as ½ is.
    spelt = unicodedata.normalize("NFKC", text)
    return text if len(spelt) <= limit else "…" + spelt[-limit:]


def tag_of(tags: Iterable[str], name: str) -> str | None:
    """Find the text of the tag `name:text`."""
    return next((tag[len(name) + 1 :] for tag in tags if tag.startswith(f"{name}:")), None)


def run_tags(upload: Upload, model: str, rule: PrefixRule, size: str) -> list[str]:
    """Tag the run for filters in the UI, and what mends for who counts it; what is empty is left out."""
    cruise = cruise_path(upload.key, rule) or rule.prefix.strip("/")
    tags = {"bucket": upload.bucket, "model": model, "cruise": cruise, "tier": size}
    return [f"{name}:{text}" for name, text in tags.items() if text] + ["mends"] * upload.mends
