"""The flow's process: what it has done before Prefect's engine begins."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Two threads that import packages which import each other can see one of them half imported.
PROGRAM = """
import runpy, sys, threading, time
from flows.runs import execute_run

def engine(name, **_):
    print(name, threading.active_count(), "echopype" in sys.modules, flush=True)

runpy.run_module = engine
process = execute_run.fork_engine()
if process is not None:
    process.begin({"PATH": "/usr/bin"})
    while process.returncode is None:
        time.sleep(0.01)
    sys.exit(process.returncode)
"""


def test_echopype_is_imported_in_the_only_thread_before_the_engine_begins() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["prefect.engine", "1", "True"]
