"""List prices that the cost table is made from: inputs, to be looked up again before they are quoted.

On demand, us-east-1, US dollars, Linux; no discount, no free tier. AWS's pages
"AWS Fargate pricing", "Amazon VPC pricing" (public addresses), "Amazon S3
pricing", "AWS Lambda pricing", "Amazon SQS pricing", "Amazon EventBridge
pricing", "Amazon CloudWatch pricing", "AWS KMS pricing", "AWS Secrets Manager
pricing".
"""

from dataclasses import dataclass

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
