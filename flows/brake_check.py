"""Whether full lanes alone would pull the brake."""

from __future__ import annotations

from collections.abc import Mapping

from flows.fargate_quota import Lanes
from flows.stack_finding import Finding

# A place in a lane starts no more than this: a task takes 45 s to its first line of Python and
# Prefect 5 (docs/sizes-and-costs.md), a conversion some more.
RUNS_AN_HOUR_OF_A_PLACE = 3600 // 50


def check_brake(outputs: Mapping[str, str]) -> Finding:
    """A note where lanes that are full of small files start more runs than the brake lets pass."""
    lanes = Lanes(
        int(outputs["LiveConcurrency"]),
        int(outputs["BackfillConcurrency"]),
        int(outputs["ConversionConcurrency"]),
    )
    limit = int(outputs["BrakeRunsAnHour"])
    most = lanes.runs * RUNS_AN_HOUR_OF_A_PLACE
    if not limit:
        return Finding("brake by runs an hour", note="switched off (BrakeRunsAnHour=0)")
    subject = f"brake at {limit} runs an hour"
    if most <= limit:
        return Finding(subject)
    note = (
        f"full lanes start up to {most}, which pauses the pool. Where a backfill is wanted that "
        "large, deploy with"
    )
    return Finding(subject, note=note, mend=f"BrakeRunsAnHour={most}")
