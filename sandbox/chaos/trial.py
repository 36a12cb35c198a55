"""One trial by chaos: plan, cargo, execution and aftermath, and the tally of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import postgresql
from sandbox.chaos.aftermath import Aftermath
from sandbox.chaos.cargo import load_cargo
from sandbox.chaos.execution import Chaos
from sandbox.chaos.plan import Strike, make_plan
from sandbox.system import Sandbox

# Seconds: of faults for each file, and to settle in.
SECONDS_A_FILE = 1.5
_SETTLING = 120.0
_SETTLING_A_FILE = 12.0


@dataclass(frozen=True)
class Tally:
    """What was done to the system, and what came of it.

    Attributes:
        outcomes: how many files had to end in which outcome.
        struck: how often each fault struck.
        started_again: how often each part was started again.
        untold: how many uploads nobody was told of.
        found: how many files reconcile found in which class on the way.
        fixes: what --fix did.
        runs, tasks: flow runs, and tasks that were started for them.
        killed: tasks that ended otherwise than with exit code 0.
        seconds: that it took, the sandbox's own start aside.
        problems: what is not as it has to be.
    """

    seed: int
    outcomes: Mapping[str, int]
    struck: Mapping[Strike, int]
    started_again: Mapping[str, int]
    untold: int
    found: Mapping[str, int]
    fixes: Mapping[str, int]
    runs: int
    tasks: int
    killed: int
    seconds: float
    problems: Sequence[str]

    def lines(self) -> Iterator[str]:
        """Tell it, line by line."""
        yield f"seed {self.seed}, {self.seconds:.0f} s, {sum(self.outcomes.values())} files: " + (
            f"{len(self.problems)} problems" if self.problems else "each in its one outcome"
        )
        yield f"outcomes       {_counted(self.outcomes)}"
        yield f"struck         {_counted(self.struck)}"
        yield f"started again  {_counted(self.started_again)}"
        yield f"on the way     {_counted(self.found)}"
        yield f"--fix          {_counted(self.fixes)}"
        yield (
            f"{self.untold} uploads untold; {self.runs} flow runs, {self.tasks} tasks, "
            f"{self.killed} of them killed"
        )
        yield from (f"PROBLEM        {problem}" for problem in self.problems)


def try_by_chaos(
    sandbox: Sandbox,
    data: Path,
    *,
    seed: int,
    files: int = 60,
    say: Callable[[str], object] = lambda _: None,
) -> Tally:
    """Drop the files of a seed into a fresh sandbox, let its faults strike, mend, and look at all.

    Args:
        sandbox: running, with nothing in its inbox.
        data: the folder of real files.
        seed: of files and faults.
        files: how many.
        say: told what happens, as it happens.

    Raises:
        TimeoutError: a part does not come back, or a file comes to no end.
    """
    begin = time.monotonic()
    cargo = load_cargo(data, seed=seed, files=files)
    missing = () if postgresql.NAME in sandbox.parts else (Strike.DATABASE,)
    plan = make_plan(
        seed, drops=len(cargo.uploads), seconds=files * SECONDS_A_FILE, without=missing
    )
    chaos = Chaos(sandbox, plan, cargo, say)
    chaos.run()
    aftermath = Aftermath(sandbox, cargo, chaos.supervisor.look, say)
    aftermath.mend(within=_SETTLING + files * _SETTLING_A_FILE)
    problems = list(aftermath.problems())
    lives = aftermath.task_lives()
    return Tally(
        seed=seed,
        outcomes=Counter(
            f"{outcome.kind} {outcome.name}".strip() for outcome in cargo.files.values()
        ),
        struck=chaos.struck,
        started_again=chaos.supervisor.started,
        untold=len(chaos.untold),
        found={kind: len(keys) for kind, keys in aftermath.found.items()},
        fixes=aftermath.fixes,
        runs=len(sandbox.api.flow_runs()),
        tasks=len(lives),
        killed=sum(life.exit_code not in {"0", ""} for life in lives),
        seconds=time.monotonic() - begin,
        problems=problems,
    )


def _counted(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "nothing"
