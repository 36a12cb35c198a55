"""What a number of conversions is about to cost and to take, before any is requested.

From names and bytes alone, so high rather than low: a `.raw` counts as the
costliest of the sonars that write it. Seconds and objects are straight lines
above what benchmarks/cost_table.py measures (docs/sizes-and-costs.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from lambda_trigger.decisions.wording import counted
from sonar_models import models_by_extension
from task_sizes import STANDARD, TaskSize, size_for

# List prices, to be looked up again before they are quoted: on demand, us-east-1, US dollars,
# Linux; no discount, no free tier. AWS's pages "AWS Fargate pricing", "Amazon VPC pricing" (public
# addresses), "Amazon S3 pricing", and those of Lambda, SQS, EventBridge, CloudWatch, KMS and
# Secrets Manager.
SECONDS_AN_HOUR = 3600
GIB = 2**30


@dataclass(frozen=True)
class Fargate:
    """Dollars an hour; `disk` beyond the 20 GB that come with a task."""

    name: str
    vcpu_hour: float
    memory_gb_hour: float
    disk_gb_hour: float = 0.000111
    # The public IPv4 address of a task in the stack's own VPC; with a NAT gateway it has none.
    address_hour: float = 0.005
    # A task is billed from the pull of its image on, for a minute at least.
    least_seconds: float = 60.0

    def dollars(self, cpu: int, memory: int, disk: int, seconds: float) -> float:
        """Cost of one task: CPU units, MiB of memory, GiB of disk, seconds billed."""
        hours = max(seconds, self.least_seconds) / SECONDS_AN_HOUR
        rate = cpu / 1024 * self.vcpu_hour + memory / 1024 * self.memory_gb_hour
        return hours * (rate + max(0, disk - 20) * self.disk_gb_hour + self.address_hour)


ARM64 = Fargate("ARM64", 0.03238, 0.00356)
X86_64 = Fargate("X86_64", 0.04048, 0.004445)

S3_PUT = 0.005 / 1000
S3_GET = 0.0004 / 1000
# EventBridge, three SQS calls, one Lambda of 512 MB for 0.2 s with its log line.
LAMBDA_GB_SECOND = 0.0000133334
TRIGGER = 1.00e-6 + 3 * 0.40e-6 + 0.20e-6 + 0.5 * 0.2 * LAMBDA_GB_SECOND + 2_000 / GIB * 0.50

# A month, and what is paid in it for each: a key, a secret, an alarm, a metric of one's own.
MONTH_HOURS = 730
KEY, SECRET, ALARM, METRIC = 1.00, 0.40, 0.10, 0.30


# From RunTask to the first line of Python; only an account can show it.
COLD_SECONDS = 45.0
# `flows.runs.execute_run` before the flow begins: interpreter, Prefect, the run's parameters.
PREFECT_SECONDS = 5.0
_FILE_SECONDS, _SECONDS_A_MB = 9.0, 0.06
_FILE_OBJECTS, _OBJECTS_A_MB = 240, 0.2


def dollars_of_task(prices: Fargate, size: TaskSize, seconds: float, objects: float) -> float:
    """Cost of a file in a task of its own, its notification and requests included.

    `seconds` are from its start to its end; `objects` are written, read back in samples, and
    counted as read as often as written.
    """
    task = prices.dollars(size.cpu, size.memory, size.ephemeral_storage, seconds)
    return task + TRIGGER + objects * (S3_PUT + S3_GET)


@dataclass
class Estimate:
    """The sum over uploads; `dollars` as if each had a task of its own."""

    uploads: int = 0
    bytes: int = 0
    task_seconds: float = 0.0
    dollars: float = 0.0
    of_unknown_size: int = 0

    def add(self, key: str, size: int | None) -> None:
        """Count one upload in; `size` in bytes, None where a list does not tell it."""
        megabytes = (size or 0) / 1e6
        wanted = (size_for(model, size or 0) for model in models_by_extension(key))
        task = max(wanted, key=lambda each: each.memory, default=STANDARD)
        seconds = COLD_SECONDS + PREFECT_SECONDS + _FILE_SECONDS + _SECONDS_A_MB * megabytes
        objects = _FILE_OBJECTS + _OBJECTS_A_MB * megabytes
        self.uploads += 1
        self.bytes += size or 0
        self.of_unknown_size += size is None
        self.task_seconds += seconds
        self.dollars += dollars_of_task(ARM64, task, seconds, objects)

    def sentence(self, rate: float | None, at_once: int | None = None) -> str:
        """One line for people; says so if there is nothing to estimate.

        `rate` is uploads a second; `at_once` is the number of conversions at a time, where that
        is limited.
        """
        if not self.uploads:
            return "nothing to convert"
        parts = [counted(self.uploads, "upload"), counted(self.bytes, "byte")]
        if self.of_unknown_size:
            parts.append(f"{self.of_unknown_size:,} of unknown size")
        if rate:
            parts.append(f"sent within {length(self.uploads / rate)}")
        parts.append(f"about {length(self.task_seconds)} of tasks")
        if at_once:
            parts.append(f"{length(self.task_seconds / at_once)} with {at_once} at a time")
        return ", ".join([*parts, f"{amount(self.dollars)} at most, list prices"])

    def as_json(self, rate: float | None) -> dict[str, object]:
        """JSON values; seconds and US dollars."""
        return {
            "uploads": self.uploads,
            "bytes": self.bytes,
            "of_unknown_size": self.of_unknown_size,
            "sending_seconds": self.uploads / rate if rate else None,
            "task_seconds": round(self.task_seconds),
            "dollars": round(self.dollars, 4),
        }


def amount(dollars: float) -> str:
    """An amount of money: `$12.34`, `less than $0.01`."""
    return f"${dollars:,.2f}" if dollars >= 0.01 or not dollars else "less than $0.01"


def length(seconds: float) -> str:
    """A length of time in the largest unit that it has two of: `90 s`, `45 min`, `30 h`, `3 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
