"""Brings the catalogue up to date after a reconciliation, whose result it never changes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from typing import Any

from flows.core.child_module import command_of, environment_for
from flows.core.locations import S3Location
from operations.catalog import child

# A first catalogue of a large archive may take long; the next run begins where this one ended in vain.
SECONDS = 1800
_CAUSE_LENGTH = 500

log = logging.getLogger(__name__)


def update_after(place: S3Location) -> tuple[dict[str, Any] | None, str]:
    """Update the catalogue of the outputs beside which the reports are, in a process of its own.

    The memory that it takes grows with the outputs, and must not end this process.

    Returns:
        What was done, and why the catalogue is not up to date; `''` if it is.
    """
    root = f"s3://{place.bucket}/{place.key.removesuffix('.echodrop/reconcile/')}"
    command = [*command_of(child.__name__), root]
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
