"""Which uploads are checked, and which outputs are read in full."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

from lambda_trigger.decisions.rules_document import Rules

# Maximum outputs read in full in an hour, so that the cost does not grow with the archive.
READ_AN_HOUR = 200


@dataclass(frozen=True)
class Scope:
    """What to check.

    Attributes:
        prefix: only uploads whose keys start with this, in inbox and archives.
        since: only uploads stored after this; outputs without an upload are then left out.
        verify: read every output in full, and compare its checksum.
        verify_days: read each output once in so many days, a share of them in each hour. The
            period doubles until an hour has no more than `READ_AN_HOUR` outputs.
    """

    prefix: str = ""
    since: datetime | None = None
    verify: bool = False
    verify_days: int = 0
    outputs: int = 0

    def takes(self, rules: Rules, upload: str) -> bool:
        """Whether an upload (`s3://bucket/key`) is in scope."""
        bucket, _, key = upload.removeprefix("s3://").partition("/")
        ours = bucket == rules.inbox_bucket or bucket in rules.archive_buckets
        return ours and key.startswith(self.prefix)

    def reads(self, output: str, now: datetime) -> bool:
        """Whether an output (by key) is due to be read in full now."""
        if self.verify or not self.verify_days:
            return self.verify
        hours = 24 * self.verify_days
        # Doubling changes the period rarely as files arrive, and no output misses its turn.
        while self.outputs > READ_AN_HOUR * hours:
            hours *= 2
        return zlib.crc32(output.encode()) % hours == int(now.timestamp() // 3600) % hours
