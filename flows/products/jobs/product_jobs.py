"""Which outputs need products, and what became of each. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal, Self

# The variable that switches products on in a stack.
SWITCH = "ECHODROP_PRODUCTS"

# For imports, a slow store, and the smallest output.
_BASE = timedelta(minutes=15)
# Less than a tenth of the speed of the slowest measured products (docs/benchmarks.md).
_BYTES_A_SECOND = 1_000_000


def products_are_on(environment: Mapping[str, str]) -> bool:
    """Whether conversions make products: only if the switch says `on`, as a stack does by default."""
    return environment.get(SWITCH) == "on"


@dataclass(frozen=True)
class ProductJob:
    """One output whose products are wanted.

    Attributes:
        output: path or s3:// URI.
        storage_options: as for s3fs.
        force: make them even if they are current.
    """

    output: str
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False


def time_limit(source_bytes: int) -> timedelta:
    """How long the products of a raw file of this size may take."""
    return _BASE + timedelta(seconds=source_bytes // _BYTES_A_SECOND)


JobState = Literal["made", "current", "incomplete", "failed"]


@dataclass(frozen=True)
class JobResult:
    """What became of one output's products.

    Attributes:
        state: `made`; `current`, if nothing was to be done; `incomplete`, if there is no
            complete output; `failed`, if at least one product was not made.
        record: the record beside the output; empty if there is none. Of a child that ended or
            hung, what it had made, and the checksum of the output that it made it from.
        error: what failed, for people; empty if nothing did.
        was_reported: whether the child reported it; otherwise it ended, or hung.
    """

    output: str
    state: JobState
    record: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    was_reported: bool = False

    @classmethod
    def of_record(cls, output: str, record: Mapping[str, Any]) -> Self:
        """The result of making this record."""
        error = failures(record)
        return cls(output, "failed" if error else "made", record, error)

    def as_line(self) -> str:
        """The result as one line of JSON."""
        return json.dumps(asdict(self))


def is_current(record: bytes | None, output_sha256: str) -> bool:
    """Whether a record says that everything was made from the output with this checksum."""
    if record is None:
        return False
    try:
        fields = json.loads(record)
        return fields["output_sha256"] == output_sha256 and not failures(fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def failures(record: Mapping[str, Any]) -> str:
    """The failed products of a record with their errors; empty if there are none."""
    failed: dict[str, list[str]] = {}
    for name, product in record["products"].items():
        if product["state"] == "failed":
            failed.setdefault(str(product["error"]), []).append(name)
    return "; ".join(f"{', '.join(names)}: {error}" for error, names in failed.items())
