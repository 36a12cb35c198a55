"""Runs commands and functions in processes of their own, and measures these."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parents[2]
Value = TypeVar("Value")


class Measured(NamedTuple):
    """A process that has ended.

    `processor` is user and system seconds of it and its children, `megabytes` the largest
    resident set of any one of them, `output` what it wrote to stdout.
    """

    seconds: float
    processor: float
    megabytes: float
    output: str


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Measured:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message has the end of its output.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=out, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output, errors = (_text(file) for file in (out, said))
    if process.returncode:
        raise RuntimeError(
            f"{command[:4]}: exit code {process.returncode}\n{output}{errors}"[:4000]
        )
    # Kilobytes on Linux.
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, output)


def _text(file: Any) -> str:  # noqa: ANN401 - tempfile's class is private
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def command_of(function: Callable[..., Any], *arguments: object) -> list[str]:
    """The command that calls a function of a module; arguments and result are JSON."""
    module = function.__module__
    if module == "__main__":
        module = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr] # run by -m
    code = f"import json, sys; from {module} import {function.__name__} as call; "
    code += "print(json.dumps(call(*json.loads(sys.argv[1]))))"
    return [sys.executable, "-c", code, json.dumps(arguments)]


def called(function: Callable[..., Any], *arguments: object) -> tuple[Any, Measured]:
    """Call a function in a process of its own; its result, and the process with its imports."""
    measured = run(command_of(function, *arguments))
    return json.loads(measured.output.splitlines()[-1]), measured


def in_turn(ways: Mapping[str, Callable[[], Value]], runs: int) -> dict[str, list[Value]]:
    """Run each way some times, alternately, so that other load on the machine affects all."""
    found: dict[str, list[Value]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            found[name].append(way())
    return found


def median(found: Sequence[Measured]) -> Measured:
    """The medians of the figures."""
    columns = zip(*(each[:3] for each in found), strict=True)
    seconds, processor, megabytes = map(statistics.median, columns)
    return Measured(seconds, processor, megabytes, "")


def timed(way: Callable[[], object]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun
