"""Runs one step of a conversion in a separate process, and measures its peak memory.

python -m benchmarks.measuring.measured_process '["open", "cruise.raw", "EK60"]'
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LOOK_EVERY_SECONDS = 0.05
# Imports of a task's run in addition to those of a conversion.
_PREFECT = ("prefect.engine", "prefect.flow_engine", "flows.convert_raw_sonar")


@dataclass(frozen=True)
class Peak:
    """The peak memory and the seconds of a command.

    Attributes:
        bytes: largest resident set of any one process, of it and its children.
        parent: largest resident set of the process that the command itself is.
        processor_seconds: user and system time of it and its children.
    """

    bytes: int
    seconds: float
    parent: int
    processor_seconds: float = 0.0


def measure(*step: object) -> Peak:
    """Measure one of these steps, with its imports.

    `imports`, `imports with prefect`, `imports of echopype`, `open FILE MODEL`,
    `open and save FILE MODEL TARGET`, `convert PARAMETERS`.
    """
    return waited_for(
        [sys.executable, "-m", "benchmarks.measuring.measured_process", json.dumps(step)]
    )


def waited_for(
    command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Peak:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message has the end of its output.
    """
    begun = time.perf_counter()
    parent = 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            parent = max(parent, _high_water(process.pid))
            time.sleep(_LOOK_EVERY_SECONDS)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            output = said.read().decode(errors="replace")[-3000:]
            raise RuntimeError(f"{command[:4]}: exit code {process.returncode}\n{output}")
    # Kilobytes on Linux.
    return Peak(
        usage.ru_maxrss * 1024,
        time.perf_counter() - begun,
        parent,
        usage.ru_utime + usage.ru_stime,
    )


def _high_water(pid: int) -> int:
    """Bytes of a running process's largest resident set so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    # A zombie process has none.
    return int(found[1]) * 1024 if found else 0


def _step(name: str, *arguments: object) -> None:
    """Run the step in this process."""
    warnings.simplefilter("ignore")
    if name == "imports with prefect":
        for module in _PREFECT:
            importlib.import_module(module)
    if name == "imports of echopype":
        importlib.import_module("echopype")
        return
    if name in {"open", "open and save"}:
        # Only the packages that echopype itself needs.
        echopype = importlib.import_module("echopype")
        raw, model, *target = arguments
        echodata = echopype.open_raw(raw, model)
        if target:
            echodata.to_zarr(target[0], overwrite=True)
        # Otherwise it looks for swap files while the interpreter shuts down.
        echodata.converted_raw_path = raw
        return
    from flows.conversion import convert  # noqa: PLC0415 - the baseline must not import it
    from flows.rawfile.echopype_reader import import_echopype  # noqa: PLC0415
    from flows.stores.request import ConversionRequest  # noqa: PLC0415

    import_echopype()
    for parameters in arguments:
        assert isinstance(parameters, dict)  # noqa: S101 - see `measure`
        convert(ConversionRequest(**parameters))


if __name__ == "__main__":
    _step(*json.loads(sys.argv[1]))
