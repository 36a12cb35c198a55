"""All invariants by name; importing their modules registers them."""

from tests.template.invariants import (
    bounds,
    buckets,
    cost,
    credentials,
    deliveries,
    encryption,
    logs_and_alarms,
    partitions,
    prefect_requests,
    privileges,
    queues_and_trigger,
    quota,
    reconciliation,
    tasks_and_worker,
    texts,
)
from tests.template.invariants.registry import INVARIANTS

__all__ = [
    "INVARIANTS",
    "bounds",
    "buckets",
    "cost",
    "credentials",
    "deliveries",
    "encryption",
    "logs_and_alarms",
    "partitions",
    "prefect_requests",
    "privileges",
    "queues_and_trigger",
    "quota",
    "reconciliation",
    "tasks_and_worker",
    "texts",
]
