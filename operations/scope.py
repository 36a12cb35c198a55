"""What is looked at: which uploads, of which buckets, and how closely."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

from lambda_trigger.rules_document import Rules

# Outputs that are read whole in an hour: what that costs does not grow with the archive.
READ_AN_HOUR = 200


@dataclass(frozen=True)
class Scope:
    """What to look at.

    Attributes:
        prefix: only uploads whose keys start so, in the inbox as in an archive.
        since: only uploads stored after this; outputs without an upload are left out then.
        verify: read every output whole, and compare its checksum.
        verify_days: or the share of them whose hour it is, if each has one in so many days, or
            in a time that is doubled until no more than `READ_AN_HOUR` fall into one hour.
        outputs: how many there are.
    """

    prefix: str = ""
    since: datetime | None = None
    verify: bool = False
    verify_days: int = 0
    outputs: int = 0

    def takes(self, rules: Rules, upload: str) -> bool:
        """Whether an upload (`s3://bucket/key`) of the inbox or an archive is to be looked at."""
        bucket, _, key = upload.removeprefix("s3://").partition("/")
        ours = bucket == rules.inbox_bucket or bucket in rules.archive_buckets
        return ours and key.startswith(self.prefix)

    def reads(self, output: str, now: datetime) -> bool:
        """Whether an output (by key) is to be read whole at this time."""
        if self.verify or not self.verify_days:
            return self.verify
        hours = 24 * self.verify_days
        # Doubled, so that it seldom changes while files come in, and no turn is passed over then.
        while self.outputs > READ_AN_HOUR * hours:
            hours *= 2
        return zlib.crc32(output.encode()) % hours == int(now.timestamp() // 3600) % hours
