"""Which keys are echosounder files: the key rules of the inbox as one table.

Pure: the input is a bucket, a key and the rules document; the result is a
candidate or an outcome. The object itself is not read.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from lambda_trigger.decisions.outcomes import Ignored, Reason, Rejected
from lambda_trigger.decisions.rules_document import PrefixRule, Rules
from sonar_models import models_by_extension, without_extension

# S3 allows keys of 1,024 bytes of UTF-8. A Zarr store adds the paths of its
# arrays and chunks to the output's key; echopype's longest path takes 190 bytes.
MAX_KEY_BYTES = 1024
STORE_PATH_BYTES = 200

SIDECAR = re.compile(r"\.xml$", re.IGNORECASE)
COMPANIONS = re.compile(
    r"\.(bot|idx|out|evl|evr|ev|ecs|evi|cal|ini|cfg|gps|nmea|dep|pro|snap|work)$", re.IGNORECASE
)
DOCUMENTS = re.compile(
    r"\.(log|txt|md|csv|tsv|json|yaml|yml|pdf|doc|docx|xls|xlsx|png|jpe?g|md5|sha1|sha256|mat)$",
    re.IGNORECASE,
)
TEMPORARY = re.compile(
    r"(\.(tmp|temp|part|partial|filepart|crdownload|swp|lock|download)|~)$", re.IGNORECASE
)
OWN_OUTPUT = re.compile(
    r"(\.zarr/|\.(zarr|nc)$|\.(manifest|claim|failure|products)\.json$"
    r"|\.(zarr|nc)\.(echogram|thumbnail)\.png$)",
    re.IGNORECASE,
)
# The viewer store of an output (flows/core/locations.py), which no other output may be named as.
VIEWER_STORE = re.compile(r"\.(zarr|nc)\.echogram\.zarr$")
HIDDEN = re.compile(r"(^|/)(\.[^/]|__MACOSX/|\$RECYCLE\.BIN/|~\$)", re.IGNORECASE)
SYSTEM_FILES = re.compile(r"(^|/)(thumbs\.db|desktop\.ini)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key with the name of an echosounder file. `models` are those that write its extension."""

    rule: PrefixRule
    models: frozenset[str]
    output_key: str


@dataclass(frozen=True, slots=True)
class SettingsXml:
    """A key that may be the settings XML of AZFP data."""

    rule: PrefixRule


Verdict = Ignored | Rejected


def _unsafe(key: str) -> str | None:
    """Return what makes a key unsafe for paths, logs and terminals."""
    for character in key:
        # Cc control, Cf format (direction overrides), Cs lone surrogate, Zl/Zp separators.
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            return f"the character U+{ord(character):04X}"
    for segment in key.split("/"):
        if segment in {".", ".."}:
            return f"the path segment {segment!r}"
    return None


# The rules that ignore or reject a key, in order: the first match decides.
KEY_RULES: tuple[
    tuple[Callable[[str], object], type[Ignored] | type[Rejected], Reason, str], ...
] = (
    (_unsafe, Rejected, Reason.UNSAFE_NAME, "the key contains {found}"),
    (
        lambda key: len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES,
        Rejected,
        Reason.KEY_TOO_LONG,
        f"an S3 key has at most {MAX_KEY_BYTES} bytes",
    ),
    (lambda key: key.endswith("/"), Ignored, Reason.FOLDER, "a folder marker"),
    (HIDDEN.search, Ignored, Reason.HIDDEN, "hidden name"),
    (SYSTEM_FILES.search, Ignored, Reason.HIDDEN, "a file of the operating system"),
    (TEMPORARY.search, Ignored, Reason.TEMPORARY, "the temporary name of a transfer"),
    (OWN_OUTPUT.search, Ignored, Reason.OWN_OUTPUT, "looks like an output of echodrop"),
    (
        COMPANIONS.search,
        Ignored,
        Reason.COMPANION,
        "a file beside a recording; only the recording is converted",
    ),
    (
        DOCUMENTS.search,
        Ignored,
        Reason.DOCUMENT,
        "a text, table or picture; only recordings of echosounders are converted",
    ),
)


def judge_key(bucket: str, key: str, rules: Rules) -> Candidate | SettingsXml | Verdict:
    """Classify a key by its bucket and name."""
    if elsewhere := judge_bucket(bucket, rules):
        return elsewhere
    for test, verdict, reason, detail in KEY_RULES:
        if found := test(key):
            return verdict(reason, detail.format(found=found))
    return _accepted(bucket, key, rules)


def judge_bucket(bucket: str, rules: Rules) -> Verdict | None:
    """Return why no object of a bucket is converted; None for the inbox and the archives."""
    if bucket == rules.output_bucket:
        return Ignored(Reason.OWN_OUTPUT, "in the output bucket")
    if bucket != rules.inbox_bucket and bucket not in rules.archive_buckets:
        return Rejected(Reason.FOREIGN_BUCKET, f"the inbox is {rules.inbox_bucket}, not {bucket}")
    return None


def _accepted(bucket: str, key: str, rules: Rules) -> Candidate | SettingsXml | Verdict:
    rule = rules.rule_for(key)
    if rule is None or rule.ignore:
        return Ignored(Reason.OUTSIDE_PREFIXES, "no prefix of the rules includes it")
    if SIDECAR.search(key):
        return SettingsXml(rule)
    models = models_by_extension(key)
    if not models:
        return Rejected(
            Reason.UNKNOWN_EXTENSION, f"no sonar model writes {_extension(key)!r} files"
        )
    # An archive may have the same keys as the inbox, so its outputs go into their own folder.
    folder = "" if bucket == rules.inbox_bucket else f"{bucket}/"
    output_key = output_key_of(key, rule, folder)
    if len(output_key.encode()) > MAX_KEY_BYTES - STORE_PATH_BYTES:
        limit = MAX_KEY_BYTES - STORE_PATH_BYTES
        return Rejected(
            Reason.KEY_TOO_LONG, f"the output's key would be over {limit} bytes: {output_key[:80]}…"
        )
    if VIEWER_STORE.search(output_key):
        of = output_key.removesuffix(".echogram.zarr")
        return Rejected(
            Reason.UNSAFE_NAME, f"its output would have the name of the viewer store of {of}"
        )
    return Candidate(rule, models, output_key)


def output_key_of(key: str, rule: PrefixRule, folder: str = "") -> str:
    """Return the output's key: the prefix is mapped, the extension replaced.

    `folder` goes after the mapped prefix.
    """
    suffix = ".zarr" if rule.output_type == "zarr" else ".nc"
    mapped = rule.output_prefix + folder + key[len(rule.prefix) :]
    return without_extension(mapped) + suffix


def _extension(key: str) -> str:
    name = key.rpartition("/")[2]
    return "." + name.rpartition(".")[2] if "." in name else name
