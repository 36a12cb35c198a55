"""The processors and memory of this task, and how many conversions fit them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from task_sizes import usable_bytes

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
_ENDPOINT_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"

_MIB = 2**20


@dataclass(frozen=True)
class TaskResources:
    """Processors, which may be a fraction on Fargate, and bytes of memory."""

    processors: float
    memory: int


def task_resources() -> TaskResources:
    """The task's limits from ECS, else those of the container or the machine.

    A Fargate task sees more processors than it may use, so ECS comes first.
    """
    limits: dict[str, Any] = (ecs_metadata("/task") or {}).get("Limits", {})
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    groups = cgroup_limits(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    machine = min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *groups])
    memory = limits.get("Memory")
    return TaskResources(
        float(limits.get("CPU") or usable or 1), int(memory) * _MIB if memory else machine
    )


def worker_count(
    peaks: Sequence[int], resources: TaskResources, *, max_workers: int | None = None
) -> int:
    """The number of processes: one a processor, and no more than fit the memory together.

    `peaks` are the bytes of memory of each conversion (`task_sizes.peak_bytes`). It is at least 1: a
    file that should not fit is still tried, alone.
    """
    wanted = min(math.ceil(resources.processors), max_workers or len(peaks), len(peaks))
    left = usable_bytes(resources.memory)
    count = 0
    for peak in sorted(peaks, reverse=True)[:wanted]:
        left -= peak
        if left < 0:
            break
        count += 1
    return max(1, count)


def cgroup_limits(root: Path, own: Path) -> list[int]:
    """The memory limits (bytes) of this process's control groups, such as a container's.

    `root` is where control groups are mounted, `own` the kernel's list of this process's groups,
    `id:controllers:path` a line (cgroups(7)); version 2 names no controllers.
    """
    try:
        groups = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    limits = []
    for _, controllers, path in groups:
        if controllers == "":
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        # The parent groups' limits apply too; in a container only the root group is visible.
        steps = Path(path.lstrip("/"))
        for group in (steps, *steps.parents):
            limits += _limit(base / group / name)
    return limits


def _limit(file: Path) -> list[int]:
    try:
        text = file.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdigit() else []


def ecs_metadata(path: str = "") -> dict[str, Any] | None:
    """The container's metadata, or with `/task` the task's.

    None outside ECS, or if ECS does not answer within seconds.
    """
    endpoint = os.environ.get(_ENDPOINT_VARIABLE)
    if not endpoint:
        return None
    try:
        answer = urllib3.request("GET", endpoint + path, timeout=2.0, retries=1).json()
    except (urllib3.exceptions.HTTPError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def task_image() -> str | None:
    """`image@digest` of the container, None outside ECS or if ECS does not answer."""
    metadata = ecs_metadata()
    if metadata is None:
        return None
    image, digest = metadata.get("Image"), metadata.get("ImageID")
    return f"{image}@{digest}" if image and digest else image
