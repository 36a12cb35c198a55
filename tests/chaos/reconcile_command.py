"""Runs `echodrop reconcile` for a sandbox, and reads its lines."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.system import Sandbox
from tests.sandbox_inbox import run_command

# Less than the command's default: the sandbox's worker starts a task within seconds.
GRACE_MINUTES = 1.0
# The command's default is three, because a fault may be permanent. Here all faults are
# temporary, and a plan may hit the same run with all nine faults of tasks, and also
# with faults of parts. After three attempts such a run would be left to an operator.
ATTEMPTS = 12


class ReconcileFailed(Exception):  # noqa: N818 - the name says what happened
    """The command ended with an unexpected exit code."""


@dataclass(frozen=True)
class ReconcileResult:
    """The result of reconcile: class and detail by key, the fixes, and the counts."""

    classes: Mapping[str, tuple[str, str]]
    fixes: Sequence[tuple[str, str]]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class ReconcileCommand:
    """The command, connected to a sandbox."""

    sandbox: Sandbox
    log: Callable[[str], object]

    def run(self, *options: str) -> ReconcileResult | None:
        """Run the command; return None if it could not reach the system.

        Raises:
            ReconcileFailed: it failed for another reason.
        """
        limits = ("--grace", str(GRACE_MINUTES), "--attempts", str(ATTEMPTS))
        words = ("-m", "echodrop", "reconcile", "--json", *limits, *options)
        done = run_command(self.sandbox, *words)
        if done.returncode == 2:
            self.log(f"reconcile: {done.stderr.strip()[:200]}")
            return None
        if done.returncode not in {0, 1}:
            raise ReconcileFailed(f"exit code {done.returncode}: {done.stderr}")
        return _result([json.loads(line) for line in done.stdout.splitlines()])


def _result(lines: Sequence[dict[str, Any]]) -> ReconcileResult:
    return ReconcileResult(
        classes={
            line["uri"].split("/", 3)[3]: (line["class"], line["detail"])
            for line in lines
            if "class" in line
        },
        fixes=[
            (line["uri"], line["fix"]) for line in lines if "fix" in line and "class" not in line
        ],
        counts=lines[-1]["counts"],
    )
