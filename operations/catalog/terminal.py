"""`echodrop catalog` at a terminal, and after a reconciliation, whose result it never changes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from flows.core.child_module import command_of, environment_for
from flows.core.locations import S3Location
from operations.catalog.places import ChangedMeanwhileError, place_at
from operations.catalog.reading import FOLDER
from operations.catalog.writing import update_catalog
from operations.console.command_errors import UNAVAILABLE, print_error
from operations.console.options import DryRun, Json, Output, Stack, output_root
from operations.console.printing import print_json, progress_bar

# A first catalogue of a large archive may take long; the next run begins where this one ended in vain.
SECONDS = 1800
_CAUSE_LENGTH = 500

log = logging.getLogger(__name__)


def catalog(
    place: Output = None, *, stack: Stack = None, dry_run: DryRun = False, as_json: Json = False
) -> int:
    """Bring the catalogue of all outputs up to date: STAC, a Parquet and a CSV table, the page's list.

    Exit code 0: it is up to date; 1: manifests can't be read, and are not in it; 2: a service did not answer.
    """
    named = place
    try:
        named = output_root(place, stack)
        root = place_at(named)
        with progress_bar() as progress:
            update = update_catalog(root, dry_run=dry_run, progress=progress)
    except (ClientError, BotoCoreError, ChangedMeanwhileError) as error:
        return print_error(OSError(f"{named}: {error}"))
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)
    unreadable = update.unreadable
    if as_json:
        print_json({"catalog": root.uri + FOLDER, **asdict(update)})
        return 1 if unreadable else 0
    console = Console(soft_wrap=True, highlight=False, markup=False)
    would = "would be " if dry_run else ""
    console.print(
        f"{root.uri}{FOLDER}: {update.outputs:,} outputs and {update.failed:,} failed uploads,"
        f" of which {update.read:,} are new or changed; {update.gone:,} are gone"
    )
    console.print(f"{update.written:,} files {would}written, {update.removed:,} {would}removed")
    for path, why in unreadable.items():
        console.print(f"{path} is left out: {why}")
    return 1 if unreadable else 0


def update_after(place: S3Location) -> tuple[dict[str, Any] | None, str]:
    """Update the catalogue of the outputs beside which the reports are, in a process of its own.

    The memory that it takes grows with the outputs, and must not end this process.

    Returns:
        What was done, and why the catalogue is not up to date; `''` if it is.
    """
    root = f"s3://{place.bucket}/{place.key.removesuffix('.echodrop/reconcile/')}"
    command = [*command_of(__name__), root]
    try:
        done = subprocess.run(  # noqa: S603 - the project's own command
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=environment_for(os.environ),
        )
        update: dict[str, Any] | None = json.loads(done.stdout) if done.stdout else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        log.warning("catalogue not updated", exc_info=True)
        return None, f"{type(error).__name__}: {error}"
    if update is None:
        ended = f"was ended by signal {-done.returncode}" if done.returncode < 0 else "failed"
        return None, f"its update {ended}: {done.stderr.strip()[-_CAUSE_LENGTH:]}"
    unreadable = len(update["unreadable"])
    return update, f"{unreadable} manifests or reports can't be read" if unreadable else ""


if __name__ == "__main__":
    # proc(5): if memory runs out, the kernel ends this process and not the reconciliation.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    sys.exit(catalog(sys.argv[1], as_json=True))
