"""Registers the pool's work queues on the server."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from flows.deployment.deployment_specs import QueueSpec
from flows.deployment.registration import Registration


def register_queues(
    client: SyncPrefectClient, done: Registration, queues: Sequence[QueueSpec]
) -> None:
    """Write the differences, the highest priority first; a paused queue stays paused.

    When a queue is written, the server shifts the priorities of the pool's other
    queues, including `default`.
    """
    for wanted in sorted(queues, key=lambda queue: queue.priority):
        settings = f"priority {wanted.priority}"
        if wanted.concurrency_limit is not None:
            settings += f", {wanted.concurrency_limit} at a time"
        pool = {"work_pool_name": done.work_pool}
        ours = {"priority": wanted.priority, "concurrency_limit": wanted.concurrency_limit}
        try:
            found = client.read_work_queue_by_name(wanted.name, work_pool_name=done.work_pool)
        except ObjectNotFound:
            if done.writes(f"create work queue {wanted.name} ({settings})"):
                client.request(
                    "POST",
                    "/work_pools/{work_pool_name}/queues",
                    path_params=pool,
                    json={"name": wanted.name, **ours},
                )
            continue
        theirs = {"priority": found.priority, "concurrency_limit": found.concurrency_limit}
        if ours != theirs and done.writes(f"change work queue {wanted.name} ({settings})"):
            client.request(
                "PATCH",
                "/work_pools/{work_pool_name}/queues/{name}",
                path_params=pool | {"name": wanted.name},
                json=ours,
            )
