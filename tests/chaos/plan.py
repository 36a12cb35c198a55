"""Plans uploads and faults. A plan depends only on its arguments, and its faults are limited."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# _BOUNDS are for a plan of this length; longer plans have proportionally more faults.
_UNIT_SECONDS = 90.0


class FaultKind(StrEnum):
    """The kinds of faults. All are SIGKILL except the last three."""

    TRIGGER = "trigger killed"
    WORKER = "ECS worker killed"
    PREFECT = "Prefect server killed"
    DATABASE = "database killed"
    TASK = "task killed"
    PUBLISHING_TASK = "task killed while it publishes"
    ENGINE = "flow's process killed in its task"
    STOPPED_TASK = "task stopped by ECS"
    UPLOAD_RULE_OFF = "upload rule disabled"
    TASK_RULE_OFF = "task rule disabled"


# Number of faults, and shortest and longest duration in seconds: how long a part is down
# before it is restarted, or how long a rule is disabled.
_BOUNDS: dict[FaultKind, tuple[int, float, float]] = {
    FaultKind.TRIGGER: (4, 0.5, 5),
    FaultKind.WORKER: (3, 1, 10),
    FaultKind.PREFECT: (2, 1, 6),
    FaultKind.DATABASE: (2, 1, 6),
    FaultKind.TASK: (3, 0, 0),
    FaultKind.PUBLISHING_TASK: (2, 0, 0),
    FaultKind.ENGINE: (2, 0, 0),
    FaultKind.STOPPED_TASK: (2, 0, 0),
    FaultKind.UPLOAD_RULE_OFF: (2, 5, 9),
    FaultKind.TASK_RULE_OFF: (2, 10, 20),
}


@dataclass(frozen=True, order=True)
class PlannedFault:
    """A fault of the plan.

    Attributes:
        at: seconds after the start.
        kind: what it does.
        seconds: how long it lasts; 0 if it has no duration.
        pick: from 0 to 1, selects one of the possible targets.
    """

    at: float
    kind: FaultKind
    seconds: float
    pick: float


@dataclass(frozen=True)
class FaultPlan:
    """The times of all uploads and faults."""

    seed: int
    uploads: Sequence[float]
    faults: Sequence[PlannedFault]

    def counts(self) -> Counter[FaultKind]:
        """Return the number of faults of each kind."""
        return Counter(fault.kind for fault in self.faults)


def make_plan(
    seed: int, *, uploads: int, seconds: float, without: Sequence[FaultKind] = ()
) -> FaultPlan:
    """Make a plan; the same arguments give the same plan.

    Args:
        seed: the seed of the random numbers.
        uploads: number of uploads, within the first two thirds of the time.
        seconds: length of the plan.
        without: kinds of faults to leave out.
    """
    # S311: a plan must be reproducible; nothing secret depends on it.
    random_ = random.Random(seed)
    faults = []
    for kind, (number, shortest, longest) in _BOUNDS.items():
        # Uploads end before the plan does; the other faults need running tasks.
        within = (0.05, 0.6) if kind is FaultKind.UPLOAD_RULE_OFF else (0.1, 1.0)
        for _ in range(max(1, round(number * seconds / _UNIT_SECONDS))):
            at = seconds * random_.uniform(*within)
            lasting = random_.uniform(shortest, longest)
            fault = PlannedFault(at, kind, lasting, random_.random())
            if kind not in without:
                faults.append(fault)
    times = sorted(random_.uniform(0, seconds * 2 / 3) for _ in range(uploads))
    return FaultPlan(seed, times, sorted(faults))
