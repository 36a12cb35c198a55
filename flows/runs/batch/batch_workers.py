"""How many files of a batch are converted in parallel."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flows.runs.task_resources import TaskResources
from task_sizes import usable_bytes


def worker_count(
    peaks: Sequence[int], resources: TaskResources, *, max_workers: int | None = None
) -> int:
    """The number of processes: one a processor, and no more than fit the memory together.

    Args:
        peaks: peak memory in bytes of each file's conversion, from `task_sizes.peak_bytes`.
        resources: of the task.
        max_workers: an upper limit; the result may be smaller.

    Returns:
        At least 1: a file that should not fit is still tried, alone.
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
