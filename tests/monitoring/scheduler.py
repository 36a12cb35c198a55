"""Runs the template's schedules in accelerated time, as EventBridge and Lambda do.

Functions are called in this process and write to this part's log. After each call
Lambda's own metrics of it are written too.
"""

import argparse
import json
import logging
import pkgutil
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.aws.event_source import SandboxLambdaContext, count_invocation

log = logging.getLogger("tests.monitoring.scheduler")

_UNITS = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "day": 86400, "days": 86400}


@dataclass
class ScheduledCall:
    """A schedule's target; it is called `every` so many seconds."""

    name: str
    every: float
    call: Callable[[], None]
    next_at: float = 0.0


def seconds_of(schedule: str) -> int:
    """Return the seconds of a schedule such as `rate(5 minutes)`.

    Raises:
        ValueError: the schedule is not a rate.
    """
    found = re.fullmatch(r"rate\((\d+) (\w+)\)", schedule)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{schedule}: not a rate")
    return int(found[1]) * _UNITS[found[2]]


def call_function(name: str, handler: Callable[..., Any], timeout: float) -> None:
    """Call a function and write Lambda's metrics of the call."""
    errors = 0
    try:
        handler(
            {"source": "aws.events", "detail-type": "Scheduled Event"},
            SandboxLambdaContext(name, timeout),
        )
    except Exception:
        log.exception("%s raised", name)
        errors = 1
    count_invocation(name, errors)


def _scheduled_call(plan: Mapping[str, Any]) -> ScheduledCall:
    name, loaded = plan["name"], pkgutil.resolve_name(plan["handler"])
    return ScheduledCall(
        name, float(plan["every"]), lambda: call_function(name, loaded, float(plan["timeout"]))
    )


def main() -> None:
    """Run the schedules until SIGTERM (`python -m tests.monitoring.scheduler --plan JSON`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=json.loads, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    schedules = [_scheduled_call(plan) for plan in parser.parse_args().plan]
    log.info("running %s schedules", len(schedules))
    while True:
        for due in schedules:
            if time.monotonic() < due.next_at:
                continue
            due.next_at = time.monotonic() + due.every
            try:
                due.call()
            # BLE001: a short outage of AWS must not end the loop.
            except Exception as error:  # noqa: BLE001
                log.warning("%s: %s", due.name, error)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
