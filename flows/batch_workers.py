"""How many files of a batch are converted side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flows.task_resources import TaskResources
from task_sizes import usable_bytes


def worker_count(
    peaks: Sequence[int], resources: TaskResources, *, max_workers: int | None = None
) -> int:
    """Processes that the processors keep busy and whose largest files fit side by side.

    Args:
        peaks: bytes at the peak of each file's conversion, by `task_sizes.peak_bytes`.
        resources: of the task.
        max_workers: no more than these; no limit on its own authority.

    Returns:
        At least 1: a file that does not fit by the rule is tried alone.
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
