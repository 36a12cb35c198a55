"""Runs one chaos test and reports the results."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.parts import postgresql
from sandbox.system import Sandbox
from tests.chaos.execution import PlanExecution
from tests.chaos.files import make_files
from tests.chaos.plan import FaultKind, make_plan
from tests.chaos.verification import ChaosVerification

# Seconds of faults per file, and seconds until all files must have their final outcome.
SECONDS_PER_FILE = 1.5
_SETTLING = 120.0
_SETTLING_PER_FILE = 12.0


@dataclass(frozen=True)
class ChaosReport:
    """The results of a chaos test: numbers by expected outcome, kind of fault, part, class and fix.

    `unnotified` uploads had no notification. `killed` tasks have another exit code than 0.
    """

    seed: int
    outcomes: Mapping[str, int]
    injected: Mapping[FaultKind, int]
    restarts: Mapping[str, int]
    unnotified: int
    found: Mapping[str, int]
    fixes: Mapping[str, int]
    runs: int
    tasks: int
    killed: int
    seconds: float
    problems: Sequence[str]

    def lines(self) -> Iterator[str]:
        """Format the report as lines."""
        yield f"seed {self.seed}, {self.seconds:.0f} s, {sum(self.outcomes.values())} files: " + (
            f"{len(self.problems)} problems" if self.problems else "all as expected"
        )
        yield f"outcomes       {_counted(self.outcomes)}"
        yield f"injected       {_counted(self.injected)}"
        yield f"restarts       {_counted(self.restarts)}"
        yield f"found          {_counted(self.found)}"
        yield f"--fix          {_counted(self.fixes)}"
        yield (
            f"{self.unnotified} uploads without notification; {self.runs} flow runs, {self.tasks} tasks, "
            f"{self.killed} of them killed"
        )
        yield from (f"PROBLEM        {problem}" for problem in self.problems)


def run_trial(
    sandbox: Sandbox,
    data: Path,
    *,
    seed: int,
    files: int = 60,
    log: Callable[[str], object] = lambda _: None,
) -> ChaosReport:
    """Upload files to a new sandbox, inject faults, repair with reconcile, and check every file.

    Args:
        sandbox: a running sandbox with an empty inbox.
        data: the folder of real files.
        seed: the seed of files and faults.
        files: number of files.
        log: called with a line for each event.

    Raises:
        TimeoutError: a part is not ready, or a file has no final outcome.
    """
    begin = time.monotonic()
    chosen = make_files(data, seed=seed, files=files)
    missing = () if postgresql.NAME in sandbox.parts else (FaultKind.DATABASE,)
    plan = make_plan(
        seed, uploads=len(chosen.uploads), seconds=files * SECONDS_PER_FILE, without=missing
    )
    execution = PlanExecution(sandbox, plan, chosen, log)
    execution.run()
    verification = ChaosVerification(sandbox, chosen, execution.supervisor.step, log)
    verification.repair(within=_SETTLING + files * _SETTLING_PER_FILE)
    problems = list(verification.problems())
    tasks = verification.executed_tasks()
    return ChaosReport(
        seed=seed,
        outcomes=Counter(
            f"{outcome.kind} {outcome.name}".strip() for outcome in chosen.outcomes.values()
        ),
        injected=execution.injected,
        restarts=execution.supervisor.restarts,
        unnotified=len(execution.unnotified),
        found={kind: len(keys) for kind, keys in verification.found.items()},
        fixes=verification.fixes,
        runs=len(sandbox.api.flow_runs()),
        tasks=len(tasks),
        killed=sum(task.exit_code not in {"0", ""} for task in tasks),
        seconds=time.monotonic() - begin,
        problems=problems,
    )


def _counted(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "nothing"
