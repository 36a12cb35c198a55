"""The SQLite server collects garbage in a background thread, not in the event loop's."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

# A cycle that records the thread that frees it, and enough garbage that Python's
# automatic collection would free it at once.
SCRIPT = """
import threading, time
from sandbox.prefect.sqlite_server import collect_in_background

freed = []
class Cursor:
    def __init__(self):
        self.itself = self
    def __del__(self):
        freed.append(threading.current_thread().name)

collect_in_background()
Cursor()
kept = [[number] for number in range(100_000)]
until = time.monotonic() + 20
while not freed and time.monotonic() < until:
    time.sleep(0.05)
print(*freed)
"""


def test_garbage_is_freed_in_a_background_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["garbage"]
