"""A trial by chaos: mixed real files, and the system's parts killed at random, by a seed.

    python -m benchmarks.chaos REAL_DATA [--seed 7] [--files 200] [--database sqlite] [--keep FOLDER]

What tests/e2e/test_chaos.py does with its one seed, with any, and for longer.
Prints what strikes when, what reconcile finds and mends, and the tally: every
file in its one outcome, every output read back and compared with what is known
of its file, one run for each version of a file, no two tasks of it at one time.
Exits with 1 if anything of that is not so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from sandbox.chaos.trial import run_trial
from sandbox.system import Sandbox, SandboxOptions


def main() -> int:
    """Run one trial and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of real files")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--database", default="postgresql", choices=["postgresql", "sqlite"])
    parser.add_argument("--keep", type=Path, help="folder for the sandbox's logs and state")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        with Sandbox(folder, SandboxOptions(database=options.database)) as sandbox:
            tally = run_trial(
                sandbox,
                options.data,
                seed=options.seed,
                files=options.files,
                log=lambda line: print(line, flush=True),
            )
    print(*tally.lines(), sep="\n")
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
