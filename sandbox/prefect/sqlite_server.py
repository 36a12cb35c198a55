"""Runs Prefect's server on SQLite with garbage collection in a background thread.

Python collects cyclic garbage in the thread that allocates, here mostly the event
loop's. Freeing a cursor of the SQLite driver waits for its connection's mutex. A
connection that waits for the write lock holds that mutex for up to 60 s, Prefect's
timeout. The transaction with the lock can only end in the event loop, which is
waiting. So the server blocks for 60 s and then reports a locked database.

In a background thread the collector can wait without blocking the event loop. Under
load the 60 s stalls no longer occur (docs/decisions/sqlite-in-the-sandbox.md).
"""

import gc
import runpy
import sys
import threading
import time

_EVERY_SECONDS = 1.0
# Allocated minus freed objects since the last collection. Below this number an idle
# server does not collect.
_THRESHOLD = 20_000
# Every so many collections is a full one. The others look only at objects made since the
# last one, as Python's own collector does: a full one takes 0.15 s of a processor and more.
_FULL = 30


def collect_in_background() -> None:
    """Disable automatic garbage collection and start a thread that collects."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    collections = 0
    while True:
        time.sleep(_EVERY_SECONDS)
        if gc.get_count()[0] > _THRESHOLD:
            collections += 1
            gc.collect(1 if collections % _FULL else 2)


def main() -> None:
    """Run Prefect's command line (`python -m sandbox.prefect.sqlite_server server start`)."""
    collect_in_background()
    sys.argv = ["prefect", *sys.argv[1:]]
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    main()
