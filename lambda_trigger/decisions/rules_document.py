"""The rules document: the deployment, output and limits of each prefix.

It is a small TOML document in an SSM parameter. Any error refuses the whole
document and names the line, so a deployment stops before it and a running
trigger never guesses.
"""

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from lambda_trigger.decisions.outcomes import BACKFILL, LANES
from lambda_trigger.decisions.rules_table import RulesError, RulesTable

DOCUMENT_VERSION = 1
OUTPUT_TYPES = ("zarr", "netcdf")
_ARN_OF_BUCKET = re.compile(r"^arn:aws[a-z-]*:s3:::")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SYNTAX_LINE = re.compile(r"\(at line (\d+)")
_TIER_WARNING = (
    "rules document, line {}: [[tier]] has no effect any more, because a task has one of two sizes "
    "(docs/sizes-and-costs.md). Remove the tables; set another size for a prefix in "
    "its job_variables"
)


@dataclass(frozen=True, slots=True)
class PrefixRule:
    """The rule for the keys below one prefix.

    `output_prefix` replaces `prefix` at the start of the key. `batch` lets small
    uploads share a run in every lane, if the document has a [batch]. `parameters`
    and `job_variables` are passed to the flow run unchanged.
    """

    prefix: str
    deployment: str
    output_type: str
    output_prefix: str
    ignore: bool = False
    batch: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    job_variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchRule:
    """Which small files share a run: their largest size, their number and the lanes."""

    up_to_bytes: int = 20_000_000
    max_files: int = 40
    lanes: tuple[str, ...] = (BACKFILL,)
    deployment: str = "convert-raw-sonar-batch/ecs"


@dataclass(frozen=True)
class Rules:
    """The whole document. Sizes are in bytes.

    `archive_buckets` are read in place by a backfill; they notify only of restored
    objects. `warnings` name, with the line, what has no effect any more.
    """

    inbox_bucket: str
    output_bucket: str
    prefixes: tuple[PrefixRule, ...]
    pause_above: int = 5_000_000_000
    reject_above: int = 20_000_000_000
    waiting_limit_hours: float = 24.0
    archive_buckets: tuple[str, ...] = ()
    batch: BatchRule | None = None
    warnings: tuple[str, ...] = ()

    def rule_for(self, key: str) -> PrefixRule | None:
        """Choose the rule of the longest prefix that the key starts with."""
        fitting = [rule for rule in self.prefixes if key.startswith(rule.prefix)]
        return max(fitting, key=lambda rule: len(rule.prefix), default=None)


# The names that a document may have (docs/rules.md).
TOP = (
    *("version", "inbox_bucket", "output_bucket", "archive_buckets"),
    *("size_limits", "waiting", "prefix", "tier", "batch"),
)
SIZE_LIMITS, WAITING = ("pause_above", "reject_above"), ("limit_hours",)
BATCH = tuple(BatchRule.__dataclass_fields__)


def parse_rules(text: str) -> Rules:
    """Parse and check a rules document.

    Raises:
        RulesError: the document is wrong; it names the first wrong line and the problem.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX_LINE.search(str(error))
        # An error without a position is at the end of the document.
        line = int(found[1]) if found else text.count("\n") + 1
        raise RulesError(line, str(error)) from error
    return _Document(text).rules(document)


def _is_deployment(name: str) -> bool:
    return name.count("/") == 1 and all(name.split("/"))


class _Document(RulesTable):
    """Checks the tables of a rules document."""

    def rules(self, document: dict[str, Any]) -> Rules:
        self.only(document, TOP)
        if document.get("version") != DOCUMENT_VERSION or document["version"] is True:
            self.wrong("version", f"version must be {DOCUMENT_VERSION}")
        inbox, output = (
            self.bucket(document, "inbox_bucket"),
            self.bucket(document, "output_bucket"),
        )
        if inbox == output:
            self.wrong(
                "output_bucket", "output_bucket is the inbox: every output would be an upload again"
            )
        limits = self.table(document, "size_limits", SIZE_LIMITS)
        pause = self.number(limits, "pause_above", Rules.pause_above, "size_limits", whole=True)
        reject = self.number(limits, "reject_above", Rules.reject_above, "size_limits", whole=True)
        if pause > reject:
            name = "pause_above" if "pause_above" in limits else "reject_above"
            self.wrong(name, "pause_above is greater than reject_above", "size_limits")
        waiting = self.table(document, "waiting", WAITING)
        limit_hours = self.number(waiting, "limit_hours", Rules.waiting_limit_hours, "waiting")
        return Rules(
            inbox,
            output,
            self.prefixes(document),
            int(pause),
            int(reject),
            float(limit_hours),
            self.archive_buckets(document, inbox, output),
            self.batch(document),
            self.warnings(document),
        )

    def warnings(self, document: dict[str, Any]) -> tuple[str, ...]:
        # Older documents have these tables and are still in use.
        if not self.tables(document, "tier"):
            return ()
        return (_TIER_WARNING.format(self.line_of("tier", "", 0)),)

    def batch(self, document: dict[str, Any]) -> BatchRule | None:
        if "batch" not in document:
            return None
        table = self.table(document, "batch", BATCH)
        default = BatchRule()
        lanes = table.get("lanes", list(default.lanes))
        if not isinstance(lanes, list) or not all(lane in LANES for lane in lanes):
            self.wrong("lanes", f"lanes must be a list of {', '.join(LANES)}", "batch")
        up_to_bytes, max_files = (
            int(self.number(table, name, getattr(default, name), "batch", whole=True))
            for name in ("up_to_bytes", "max_files")
        )
        deployment = self.text(table, "deployment", default.deployment, "batch")
        if not _is_deployment(deployment):
            self.wrong("deployment", "deployment must be 'flow name/deployment name'", "batch")
        return BatchRule(up_to_bytes, max_files, tuple(lanes), deployment)

    def archive_buckets(self, document: dict[str, Any], inbox: str, output: str) -> tuple[str, ...]:
        buckets = document.get("archive_buckets", [])
        if not isinstance(buckets, list):
            self.wrong(
                "archive_buckets", "archive_buckets must be a list of buckets' names or ARNs"
            )
        names = []
        for bucket in buckets:
            # The stack writes ARNs, because its roles need them.
            name = _ARN_OF_BUCKET.sub("", bucket) if isinstance(bucket, str) else ""
            if not _BUCKET.fullmatch(name):
                self.wrong("archive_buckets", f"{bucket!r} is neither a bucket name nor its ARN")
            if name in {inbox, output}:
                whose = "the inbox" if name == inbox else "the output bucket"
                self.wrong("archive_buckets", f"{name} is {whose}, not an archive")
            names.append(name)
        return tuple(names)

    def prefixes(self, document: dict[str, Any]) -> tuple[PrefixRule, ...]:
        tables = self.tables(document, "prefix")
        if not tables:
            self.wrong("prefix", "at least one [[prefix]] is needed")
        rules: list[PrefixRule] = []
        for index, table in enumerate(tables):
            rule = self.prefix(table, index)
            if any(rule.prefix == other.prefix for other in rules):
                self.wrong("prefix", f"prefix {rule.prefix!r} occurs twice", "prefix", index)
            rules.append(rule)
        return tuple(rules)

    def prefix(self, table: dict[str, Any], index: int) -> PrefixRule:
        where = ("prefix", index)
        self.only(table, tuple(PrefixRule.__dataclass_fields__), *where)
        for name in ("ignore", "batch"):
            if not isinstance(table.get(name, False), bool):
                self.wrong(name, f"{name} must be true or false", *where)
        ignore = table.get("ignore", False)
        prefix = self.text(table, "prefix", None, *where)
        if prefix.startswith("/"):
            self.wrong("prefix", "no key starts with '/', so this prefix matches none", *where)
        deployment = self.text(table, "deployment", "" if ignore else None, *where)
        if not ignore and not _is_deployment(deployment):
            self.wrong("deployment", "deployment must be 'flow name/deployment name'", *where)
        output_type = self.text(table, "output_type", OUTPUT_TYPES[0], *where)
        if output_type not in OUTPUT_TYPES:
            self.wrong(
                "output_type", f"output_type must be one of {', '.join(OUTPUT_TYPES)}", *where
            )
        for name in ("parameters", "job_variables"):
            if not isinstance(table.get(name, {}), dict):
                self.wrong(name, f"{name} must be a table", *where)
        return PrefixRule(
            prefix=prefix,
            deployment=deployment,
            output_type=output_type,
            output_prefix=self.text(table, "output_prefix", prefix, *where),
            ignore=ignore,
            batch=table.get("batch", False),
            parameters=table.get("parameters", {}),
            job_variables=table.get("job_variables", {}),
        )

    def bucket(self, document: dict[str, Any], name: str) -> str:
        bucket = self.text(document, name, None)
        if not _BUCKET.fullmatch(bucket):
            self.wrong(name, f"{bucket!r} is not a bucket name")
        return bucket
