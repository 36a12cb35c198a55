"""Runs a chaos test: uploads real files while parts of the system are killed at random.

    python -m tests.chaos REAL_DATA [--seed 7] [--files 200] [--database sqlite] [--keep FOLDER]

tests/e2e/test_chaos.py runs the same test with one seed and fewer files. Prints each
fault, what reconcile finds and fixes, and a report: whether every file has its expected
outcome and every output matches its file, and whether each version of a file had one
run and never two tasks at the same time. Exits with 1 if there is a problem.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from sandbox.system import Sandbox, SandboxOptions
from tests.chaos.trial import run_trial


def main() -> int:
    """Run one test and print its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of real files")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--database", default="postgresql", choices=["postgresql", "sqlite"])
    parser.add_argument("--keep", type=Path, help="folder for the sandbox's logs and state")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        with Sandbox(folder, SandboxOptions(database=options.database, products=False)) as sandbox:
            report = run_trial(
                sandbox,
                options.data,
                seed=options.seed,
                files=options.files,
                log=lambda line: print(line, flush=True),  # noqa: T201 - a script,
            )
    print(*report.lines(), sep="\n")  # noqa: T201
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
