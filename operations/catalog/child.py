"""The process in which the reconciliation updates the catalogue: `python -m operations.catalog.child s3://bucket/`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from operations.catalog.terminal import catalog

if __name__ == "__main__":
    # proc(5): if memory runs out, the kernel ends this process and not the reconciliation.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    sys.exit(catalog(sys.argv[1], as_json=True))
