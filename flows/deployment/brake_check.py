"""Checks whether full lanes would trigger the brake."""

from __future__ import annotations

from collections.abc import Mapping

from flows.deployment.fargate_quota import LaneLimits
from flows.deployment.stack_finding import Finding

# Runs an hour of one slot of a lane, at most: a task needs 45 s to start Python and 5 s for Prefect
# (docs/sizes-and-costs.md), and then the conversion takes time.
RUNS_AN_HOUR_OF_A_SLOT = 3600 // 50


def check_brake(outputs: Mapping[str, str]) -> Finding:
    """A note if lanes full of small files start more runs than the brake allows."""
    lanes = LaneLimits(
        int(outputs["LiveConcurrency"]),
        int(outputs["BackfillConcurrency"]),
        int(outputs["ConversionConcurrency"]),
    )
    limit = int(outputs["BrakeRunsAnHour"])
    most = lanes.runs * RUNS_AN_HOUR_OF_A_SLOT
    if not limit:
        return Finding("brake by runs an hour", note="switched off (BrakeRunsAnHour=0)")
    subject = f"brake at {limit} runs an hour"
    if most <= limit:
        return Finding(subject)
    note = (
        f"full lanes start up to {most}, which pauses the pool. For a backfill that "
        "large, deploy with"
    )
    return Finding(subject, note=note, fix=f"BrakeRunsAnHour={most}")
