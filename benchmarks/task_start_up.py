"""Measures the seconds from a task's start to its manifest, by stage.

    python -m benchmarks.task_start_up RAW [--model EK60] [--runs 5]

A real Prefect server on this machine, the flow's own deployment, a local output.
Baseline: Prefect's own `prefect flow-run execute`, which starts two more interpreters.
Ours: the command of a task, `python -m flows.runs.execute_run`. Both run in turn; prints
medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring.measured import in_turn
from benchmarks.measuring.servers import OURS, PREFECTS, FlowRunServer, flow_runs

WANTED = 0.5


def timeline(
    runs: FlowRunServer, raw: Path, model: str, command: Sequence[str]
) -> dict[str, float]:
    """Seconds of one task by stage, and its processor seconds."""
    with tempfile.TemporaryDirectory(prefix="echodrop-start-up-") as folder:
        output = Path(folder) / "out.zarr"
        measured = runs.measure(
            {
                "raw_file": str(raw),
                "sonar_model": model,
                "output_path": str(output),
                "output_type": "zarr",
            },
            command,
        )
        manifest = Path(f"{output}.manifest.json")
        work = json.loads(manifest.read_text())["timings"]
        committed = manifest.stat().st_mtime
    running = datetime.fromisoformat(measured.run["start_time"]).timestamp()
    begun = measured.begun
    stages = sum(work.values())
    return {
        "until Prefect's state is Running": running - begun,
        "tasks, imports": committed - running - stages,
        **{f"  {stage}": seconds for stage, seconds in work.items()},
        "start to manifest": committed - begun,
        "manifest to the task's end": begun + measured.spent.seconds - committed,
        "processor": measured.spent.processor,
    }


def main() -> int:
    """Measure both commands; return 0 if ours takes at most half."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("raw", type=Path)
    parser.add_argument("--model", default="EK60")
    parser.add_argument("--runs", type=int, default=5)
    options: Any = parser.parse_args()
    raw = options.raw.resolve()
    with flow_runs() as runs:
        ways = {
            "Prefect's command": lambda: timeline(runs, raw, options.model, PREFECTS),
            "a task's command": lambda: timeline(runs, raw, options.model, OURS),
        }
        found = in_turn(ways, options.runs)
    theirs, ours = (
        {part: statistics.median(each[part] for each in lines) for part in lines[0]}
        for lines in found.values()
    )
    print(f"| {raw.name}, seconds, medians of {options.runs} | {' | '.join(found)} |")
    print("|---|---|---|")
    for part, seconds in theirs.items():
        print(f"| {part} | {seconds:.2f} | {ours[part]:.2f} |")
    ratios = {part: ours[part] / theirs[part] for part in ("start to manifest", "processor")}
    print("ratios: " + ", ".join(f"{part} {ratio:.2f}" for part, ratio in ratios.items()))
    return int(ratios["start to manifest"] > WANTED)


if __name__ == "__main__":
    sys.exit(main())
