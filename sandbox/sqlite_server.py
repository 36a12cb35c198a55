"""Prefect's server on SQLite, with its garbage collected beside the event loop.

Python collects cyclic garbage in whichever thread happens to allocate, here
mostly the event loop's. Among the garbage are cursors of the SQLite driver, and
freeing one waits for its connection's mutex. A connection that waits for the
write lock holds that mutex all the while, for up to the 60 s that Prefect grants
it; and the transaction that has the lock is one the waiting event loop would
have to finish. The server stands still until the 60 s are over, and then says
that the database is locked.

So the collector runs in a thread of its own, where it may wait as long as it
likes. Under load this made 60 s stalls into none (benchmarks/sqlite_server.py).
"""

import gc
import runpy
import sys
import threading
import time

_EVERY_SECONDS = 1.0
# Objects made and not yet freed since the last collection; an idle server makes
# few, and is not to be kept busy.
_ENOUGH = 20_000


def collect_beside_the_event_loop() -> None:
    """Turn automatic collection off, and collect in a thread from now on."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    while True:
        time.sleep(_EVERY_SECONDS)
        if gc.get_count()[0] > _ENOUGH:
            gc.collect()


def main() -> None:
    """Run Prefect's command line with the arguments given (`python -m sandbox.sqlite_server server start`)."""
    collect_beside_the_event_loop()
    sys.argv = ["prefect", *sys.argv[1:]]
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    main()
