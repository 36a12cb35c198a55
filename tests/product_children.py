"""Commands that stand in for the child process that makes products: quick ones, and such that go wrong."""

from __future__ import annotations

import sys
from pathlib import Path

# The real child, which decides what is current; drawing is replaced by a file of one byte.
_QUICK = """
import json, os, signal, sys, time
from flows.core.locations import MANIFEST_SUFFIX, PRODUCTS_SUFFIX
from flows.products import make
from flows.products.jobs import child
from flows.products.product_files import product_files

HOW, LOG = sys.argv[1:]
with open(LOG, "a") as log:
    log.write(f"{os.getpid()} {sorted(n for n in os.environ if n.startswith('PREFECT'))}\\n")

def quick(output, storage_options=None, *, only=None, on_end=None):
    files = product_files(output, storage_options)
    manifest = json.loads(files.read(MANIFEST_SUFFIX))
    entries = {}
    for name, suffix in make.PRODUCTS.items():
        if name == "viewer" and "good" not in output:
            if HOW == "fails":
                entries[name] = {"state": "failed", "error": "MemoryError: 9 TiB"}
                continue
            if HOW == "raises":
                raise ValueError("no such thing")
            if HOW == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if HOW == "exits":
                os._exit(3)
            if HOW == "hangs":
                time.sleep(120)
        files.write(suffix, b"1")
        entries[name] = {"state": "made", "path": output.rpartition("/")[2] + suffix, "bytes": 1}
        on_end(name, entries[name])
    record = {
        "products_version": 1, "output": output, "products": entries, "seconds": {},
        "output_sha256": manifest["output"]["sha256"], "picture": {"notes": ["every ping"]},
    }
    files.write(PRODUCTS_SUFFIX, json.dumps(record).encode())
    return record

make.make_products = quick
child.main()
"""


def product_child(how: str, log: Path) -> tuple[str, ...]:
    """The command of a child that goes wrong at the viewer store of each output without `good` in its name.

    Args:
        how: `well`, `fails`, `raises`, `killed`, `exits` or `hangs`.
        log: gets a line for each child that starts: its process id, and Prefect's variables that it has.
    """
    return (sys.executable, "-c", _QUICK, how, str(log))
