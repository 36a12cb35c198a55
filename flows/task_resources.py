"""How much of a processor and of memory this task has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from flows.ecs_metadata import ecs_metadata
from flows.size_tiers import PREFECT_BYTES, SPARE

_MIB = 2**20


@dataclass(frozen=True)
class TaskResources:
    """Processors, which Fargate also sells in parts, and bytes of memory."""

    processors: float
    memory: int


def task_resources() -> TaskResources:
    """The task's limits as ECS says them, the machine's where there are none.

    A Fargate task sees more processors than it may use, so ECS is asked first.
    """
    limits: dict[str, Any] = (ecs_metadata("/task") or {}).get("Limits", {})
    processors, memory = limits.get("CPU"), limits.get("Memory")
    return TaskResources(
        float(processors) if processors else float(_usable_processors()),
        int(memory) * _MIB if memory else _machine_memory(),
    )


def usable_bytes(resources: TaskResources) -> int:
    """Bytes for conversions: a part is spared, and the run itself takes Prefect's share."""
    return round(resources.memory * (1 - SPARE)) - PREFECT_BYTES


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
