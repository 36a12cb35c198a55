"""Which faults strike when: a pure function of the seed, bounded in number and length."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# Faults in a plan of this many seconds; longer plans have proportionally more.
_UNIT_SECONDS = 90.0


class Strike(StrEnum):
    """What a fault does. All but the last two are SIGKILL, as a host that is lost is."""

    TRIGGER = "trigger killed"
    WORKER = "ECS worker killed"
    PREFECT = "Prefect server killed"
    DATABASE = "database killed"
    TASK = "task killed"
    PUBLISHING_TASK = "task killed while it publishes"
    ENGINE = "flow's process killed inside its task"
    STOPPED_TASK = "task stopped by ECS"
    UPLOADS_UNTOLD = "rule of uploads switched off"
    TASK_ENDS_UNTOLD = "rule of ended tasks switched off"


# How many in a plan's unit, and between how many seconds each lasts: how long a
# part stays down before whoever watches it in AWS starts it again, a rule off.
_BOUNDS: dict[Strike, tuple[int, float, float]] = {
    Strike.TRIGGER: (4, 0.5, 5),
    Strike.WORKER: (3, 1, 10),
    Strike.PREFECT: (2, 1, 6),
    Strike.DATABASE: (2, 1, 6),
    Strike.TASK: (3, 0, 0),
    Strike.PUBLISHING_TASK: (2, 0, 0),
    Strike.ENGINE: (2, 0, 0),
    Strike.STOPPED_TASK: (2, 0, 0),
    Strike.UPLOADS_UNTOLD: (2, 5, 9),
    Strike.TASK_ENDS_UNTOLD: (2, 10, 20),
}


@dataclass(frozen=True, order=True)
class Fault:
    """One fault.

    Attributes:
        at: seconds after the first drop.
        strike: what it does.
        seconds: how long it lasts, 0 where that has no meaning.
        pick: from 0 to 1, chooses among what there is to strike then.
    """

    at: float
    strike: Strike
    seconds: float
    pick: float


@dataclass(frozen=True)
class Plan:
    """When each file is dropped, and when each fault strikes."""

    seed: int
    drops: Sequence[float]
    faults: Sequence[Fault]

    def counts(self) -> Counter[Strike]:
        """How often each strikes."""
        return Counter(fault.strike for fault in self.faults)


def make_plan(seed: int, *, drops: int, seconds: float, without: Sequence[Strike] = ()) -> Plan:
    """Make a plan; the same arguments make the same one.

    Args:
        seed: of all that is random in it.
        drops: how many objects are dropped, over the first two thirds of the time.
        seconds: over which faults strike.
        without: what can't be struck here.
    """
    # S311: a plan has to come out the same again; nothing secret depends on it.
    random_ = random.Random(seed)  # noqa: S311
    faults = []
    for strike, (number, shortest, longest) in _BOUNDS.items():
        # What is dropped is over before all else is; a task has to be there to be struck.
        within = (0.05, 0.6) if strike is Strike.UPLOADS_UNTOLD else (0.1, 1.0)
        for _ in range(max(1, round(number * seconds / _UNIT_SECONDS))):
            at = seconds * random_.uniform(*within)
            lasting = random_.uniform(shortest, longest)
            fault = Fault(at, strike, lasting, random_.random())
            if strike not in without:
                faults.append(fault)
    times = sorted(random_.uniform(0, seconds * 2 / 3) for _ in range(drops))
    return Plan(seed, times, sorted(faults))
