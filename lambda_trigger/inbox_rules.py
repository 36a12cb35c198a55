"""Which keys are echosounder files: the rules of the inbox as one table.

Pure: a bucket, a key and the rules document in; a candidate or a verdict out.
Nothing here looks into the object.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from lambda_trigger.outcomes import Ignored, Reason, Rejected
from lambda_trigger.rules_document import PrefixRule, Rules

# S3 allows keys of 1,024 bytes of UTF-8. A Zarr store adds the paths of its
# arrays and chunks to the output's key; the longest of echopype's take 190.
MAX_KEY_BYTES = 1024
ROOM_IN_STORE = 200

# Which sonar models write which extension: those that echopype 0.11 opens.
DATA_EXTENSIONS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (re.compile(r"\.raw$", re.IGNORECASE), frozenset({"EK60", "ES70", "EK80", "ES80", "EA640"})),
    (re.compile(r"\.ad2cp$", re.IGNORECASE), frozenset({"AD2CP"})),
    (re.compile(r"\.azfp$", re.IGNORECASE), frozenset({"AZFP6"})),
    (re.compile(r"\.\d\d[a-z]$", re.IGNORECASE), frozenset({"AZFP"})),
)
SIDECAR = re.compile(r"\.xml$", re.IGNORECASE)
COMPANIONS = re.compile(
    r"\.(bot|idx|out|evl|evr|ev|ecs|evi|cal|ini|cfg|log|txt|md|csv|tsv|json|yaml|yml|pdf|doc|docx"
    r"|xls|xlsx|png|jpe?g|gps|nmea|md5|sha1|sha256|mat|dep|pro|snap|work)$",
    re.IGNORECASE,
)
TEMPORARY = re.compile(
    r"(\.(tmp|temp|part|partial|filepart|crdownload|swp|lock|download)|~)$", re.IGNORECASE
)
OWN_OUTPUT = re.compile(r"(\.zarr/|\.(zarr|nc)$|\.(manifest|claim|failure)\.json$)", re.IGNORECASE)
HIDDEN = re.compile(r"(^|/)(\.[^/]|__MACOSX/|\$RECYCLE\.BIN/|~\$)", re.IGNORECASE)
SYSTEM_FILES = re.compile(r"(^|/)(thumbs\.db|desktop\.ini)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that is an echosounder file by its name. `models` are those that write its extension."""

    rule: PrefixRule
    models: frozenset[str]
    output_key: str


@dataclass(frozen=True, slots=True)
class SettingsXml:
    """A key that may be the settings XML of AZFP data."""

    rule: PrefixRule


Verdict = Ignored | Rejected


def _unsafe(key: str) -> str | None:
    """Name what makes a key unfit for paths, logs and terminals."""
    for character in key:
        # Cc control, Cf format (direction overrides), Cs lone surrogate, Zl/Zp separators.
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            return f"the character U+{ord(character):04X}"
    for segment in key.split("/"):
        if segment in {".", ".."}:
            return f"the path segment {segment!r}"
    return None


# The rules that turn a key away, in order: the first that fits decides.
TURNED_AWAY: tuple[
    tuple[Callable[[str], object], type[Ignored] | type[Rejected], Reason, str], ...
] = (
    (_unsafe, Rejected, Reason.UNSAFE_NAME, "the key holds {found}"),
    (
        lambda key: len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES,
        Rejected,
        Reason.KEY_TOO_LONG,
        f"a key of S3 has at most {MAX_KEY_BYTES} bytes",
    ),
    (lambda key: key.endswith("/"), Ignored, Reason.FOLDER, "a folder's marker"),
    (HIDDEN.search, Ignored, Reason.HIDDEN, "hidden name"),
    (SYSTEM_FILES.search, Ignored, Reason.HIDDEN, "a file of the operating system"),
    (TEMPORARY.search, Ignored, Reason.TEMPORARY, "a transfer's temporary name"),
    (OWN_OUTPUT.search, Ignored, Reason.OWN_OUTPUT, "looks like an output of ours"),
    (
        COMPANIONS.search,
        Ignored,
        Reason.COMPANION,
        "a companion; its data file is what is converted",
    ),
)


def judge_key(bucket: str, key: str, rules: Rules) -> Candidate | SettingsXml | Verdict:
    """Say what a key of a bucket is, by name alone."""
    return _turn_away(bucket, key, rules) or _take_in(bucket, key, rules)


def _turn_away(bucket: str, key: str, rules: Rules) -> Verdict | None:
    if bucket == rules.output_bucket:
        return Ignored(Reason.OWN_OUTPUT, "in the output bucket")
    if bucket != rules.inbox_bucket and bucket not in rules.archive_buckets:
        return Rejected(Reason.FOREIGN_BUCKET, f"the inbox is {rules.inbox_bucket}, not {bucket}")
    for test, verdict, reason, detail in TURNED_AWAY:
        if found := test(key):
            return verdict(reason, detail.format(found=found))
    return None


def _take_in(bucket: str, key: str, rules: Rules) -> Candidate | SettingsXml | Verdict:
    rule = rules.rule_for(key)
    if rule is None or rule.ignore:
        return Ignored(Reason.OUTSIDE_PREFIXES, "no prefix of the rules takes it in")
    if SIDECAR.search(key):
        return SettingsXml(rule)
    models = models_by_extension(key)
    if not models:
        return Rejected(
            Reason.UNKNOWN_EXTENSION, f"no sonar model writes {_extension(key)!r} files"
        )
    # An archive may hold the inbox's very keys, so its outputs have a folder of its own.
    folder = "" if bucket == rules.inbox_bucket else f"{bucket}/"
    output_key = output_key_of(key, rule, folder)
    if len(output_key.encode()) > MAX_KEY_BYTES - ROOM_IN_STORE:
        limit = MAX_KEY_BYTES - ROOM_IN_STORE
        return Rejected(
            Reason.KEY_TOO_LONG, f"the output's key would be over {limit} bytes: {output_key[:80]}…"
        )
    return Candidate(rule, models, output_key)


def models_by_extension(key: str) -> frozenset[str]:
    """Give the sonar models that write files of this name's extension."""
    for pattern, models in DATA_EXTENSIONS:
        if pattern.search(key):
            return models
    return frozenset()


def output_key_of(key: str, rule: PrefixRule, folder: str = "") -> str:
    """Name the output: same key, other extension, the prefix mapped, `folder` behind the mapped prefix.

    AZFP's numbered extensions are kept, because 15100520.01A and 15100520.01B
    are two files of one stem.
    """
    suffix = ".zarr" if rule.output_type == "zarr" else ".nc"
    mapped = rule.output_prefix + folder + key[len(rule.prefix) :]
    stem, dot, extension = mapped.rpartition(".")
    numbered = models_by_extension(key) == {"AZFP"}
    return (mapped if numbered else stem if dot and extension else mapped) + suffix


def _extension(key: str) -> str:
    name = key.rpartition("/")[2]
    return "." + name.rpartition(".")[2] if "." in name else name
