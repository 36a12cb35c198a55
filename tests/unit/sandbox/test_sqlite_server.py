"""The SQLite server's garbage is never collected in the thread of its event loop."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

# A cycle that says in which thread it is freed, and garbage enough to have it
# freed at once by the collector that Python starts with.
SCRIPT = """
import threading, time
from sandbox.sqlite_server import collect_in_background

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


def test_garbage_is_freed_in_a_thread_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["garbage"]
