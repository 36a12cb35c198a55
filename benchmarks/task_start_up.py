"""Measures the seconds from a task's start to its manifest, by stage.

    python -m benchmarks.task_start_up RAW [--model EK60] [--runs 5]

A real Prefect server on this machine, the flow's own deployment, a local output.
Baseline: Prefect's own `prefect flow-run execute`, which starts two more interpreters.
Ours: the command of a task, `python -m flows.runs.execute_run`. Both run in turn; prints
medians.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import typer

from benchmarks.measuring.measured import in_turn
from benchmarks.measuring.servers import OURS, PREFECTS, FlowRunServer, flow_runs
from sandbox.parts.environments import prefect_environment

WANTED = 0.5


def timeline(
    runs: FlowRunServer, raw: Path, model: str, command: Sequence[str]
) -> dict[str, float]:
    """Seconds of one task by stage, and its processor seconds."""
    with tempfile.TemporaryDirectory(prefix="echodrop-start-up-") as folder:
        output = Path(folder) / "out.zarr"
        parameters = {"raw_file": str(raw), "sonar_model": model, "output_path": str(output)}
        run_id = runs.create({**parameters, "output_type": "zarr"})
        begun = time.time()
        spent = runs.execute(run_id, prefect_environment(runs.home, runs.api.url), command)
        manifest = Path(f"{output}.manifest.json")
        work = json.loads(manifest.read_text())["timings"]
        committed = manifest.stat().st_mtime
    run = runs.api.request("GET", f"/flow_runs/{run_id}")
    running = datetime.fromisoformat(run["start_time"]).timestamp()
    stages = sum(work.values())
    return {
        "until Prefect's state is Running": running - begun,
        "tasks, imports": committed - running - stages,
        **{f"  {stage}": seconds for stage, seconds in work.items()},
        "start to manifest": committed - begun,
        "manifest to the task's end": begun + spent.seconds - committed,
        "processor": spent.processor,
    }


def main(raw: Path, model: str = "EK60", runs: int = 5) -> None:
    """Measure both commands; exit with 1 if ours takes over half."""
    raw = raw.resolve()
    with flow_runs() as server:
        ways = {
            "Prefect's command": lambda: timeline(server, raw, model, PREFECTS),
            "a task's command": lambda: timeline(server, raw, model, OURS),
        }
        found = in_turn(ways, runs)
    theirs, ours = (
        {part: statistics.median(each[part] for each in lines) for part in lines[0]}
        for lines in found.values()
    )
    print(f"| {raw.name}, seconds, medians of {runs} | {' | '.join(found)} |")
    print("|---|---|---|")
    for part, seconds in theirs.items():
        print(f"| {part} | {seconds:.2f} | {ours[part]:.2f} |")
    ratios = {part: ours[part] / theirs[part] for part in ("start to manifest", "processor")}
    print("ratios: " + ", ".join(f"{part} {ratio:.2f}" for part, ratio in ratios.items()))
    sys.exit(ratios["start to manifest"] > WANTED)


if __name__ == "__main__":
    typer.run(main)
