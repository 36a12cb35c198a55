"""One cause in one cruise is one incident: the first file of it is told at once, the others are counted.

What is known of an incident are small objects, `<root><incident>/incident.json`
of the file that opened it and `<root><incident>/<file>.json` of each that
followed. Who puts the first one, under the condition that there is none, has
opened the incident. The watchdog (`watchdog/incidents.py`) counts, tells how
far it grew, and clears them away; the template's lifecycle rule does where
there is no watchdog.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from botocore.exceptions import ClientError

from flows.failure_report import FailureReport
from flows.object_store import ObjectStore, error_code

HEAD = "incident.json"
# What fails later than this after the first is an incident of its own.
WINDOW = timedelta(hours=1)

# It may be closed, or taken over, between two looks.
_LOOKS = 3


def incident_id(report: FailureReport) -> str:
    """The incident that a failure belongs to: 20 hex digits over cruise, outcome and kind of cause."""
    return _digest(report.cruise, report.outcome, report.kind)


def opens_incident(store: ObjectStore, root: str, report: FailureReport) -> bool:
    """Note a failure in its incident; whether it is the first one, and so to be told.

    Args:
        store: the bucket of the incidents.
        root: where they lie in it: nothing, or folders each ending in a slash.
        report: the failure.

    Raises:
        ClientError, BotoCoreError: the store refuses or does not answer.
    """
    folder = f"{root}{incident_id(report)}/"
    body = (json.dumps(report.as_alert(), ensure_ascii=False) + "\n").encode()
    for _ in range(_LOOKS):
        if _put(store, folder + HEAD, body, IfNoneMatch="*"):
            return True
        found = store.get(folder + HEAD)
        if found is None:
            continue
        if found.body == body:
            # Our own put, sent again after its answer was lost.
            return True
        if found.store_time - found.last_modified <= WINDOW:
            break
        if _put(store, folder + HEAD, body, IfMatch=found.etag):
            return True
    store.put(f"{folder}{_digest(report.run.id, report.source)}.json", body)
    return False


def _put(store: ObjectStore, key: str, body: bytes, **condition: str) -> bool:
    try:
        store.put(key, body, **condition)
    except ClientError as error:
        # 404: what IfMatch names was cleared away meanwhile.
        if error_code(error)[0] in {404, 412}:
            return False
        raise
    return True


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
