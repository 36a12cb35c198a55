"""One cause in one cruise is one incident: the first file of it is told at once, the others are counted.

What is known of an incident are small objects: `<root><incident>/incident.json`,
its head, of the file that opened it; and below `<root><incident>/<opening>/`,
the opening being the head's entity tag, one of each file that followed, and
`told.json` once people know of it. Who puts the head, under the condition that
there is none, has opened the incident. The watchdog (`watchdog/incidents.py`)
tells of one whose opener could not, tells how far it grew, and clears them
away; the template's lifecycle rule does where there is no watchdog.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from botocore.exceptions import ClientError

from flows.failure_report import FailureReport
from flows.object_store import ObjectStore, error_code

HEAD, TOLD = "incident.json", "told.json"
# What fails later than this after the first is an incident of its own.
WINDOW = timedelta(hours=1)

# It may be closed, or taken over, between two looks.
_LOOKS = 3


def incident_id(report: FailureReport) -> str:
    """The incident that a failure belongs to: 20 hex digits over cruise, outcome and kind of cause."""
    return _digest(report.cruise, report.outcome, report.kind)


def opens_incident(store: ObjectStore, root: str, report: FailureReport) -> str | None:
    """Note a failure in its incident, for whoever counts.

    Args:
        store: the bucket of the incidents.
        root: where they lie in it: nothing, or folders each ending in a slash.
        report: the failure.

    Returns:
        The key by which to `mark_told`, where it is the first one and so to be
        told; None where it is one of those that followed.

    Raises:
        ClientError, BotoCoreError: the store refuses or does not answer.
    """
    folder = f"{root}{incident_id(report)}/"
    note = f"{_digest(report.run.id, report.source)}.json"
    body = (json.dumps(report.as_alert(), ensure_ascii=False) + "\n").encode()
    opening = "unknown"
    for _ in range(_LOOKS):
        if opened := _put(store, folder + HEAD, body, IfNoneMatch="*"):
            return f"{folder}{opened}/{TOLD}"
        head = store.get(folder + HEAD)
        if head is None:
            continue
        opening = head.etag
        if head.body == body:
            # Our own put, sent again after its answer was lost.
            return f"{folder}{opening}/{TOLD}"
        if head.store_time - head.last_modified <= WINDOW:
            break
        # Nobody has cleared it away. What it says goes to its followers, so that it is counted there.
        store.put(f"{folder}{opening}/{HEAD}", head.body)
        if opened := _put(store, folder + HEAD, body, IfMatch=opening):
            return f"{folder}{opened}/{TOLD}"
    store.put(f"{folder}{opening}/{note}", body)
    return None


def mark_told(store: ObjectStore, mark: str) -> None:
    """Note that people were told of the file that opened an incident.

    Raises:
        ClientError, BotoCoreError: the store refuses or does not answer.
    """
    store.put(mark, b'{"count": 1}\n')


def _put(store: ObjectStore, key: str, body: bytes, **condition: str) -> str | None:
    """Put under a condition; the entity tag, None where it does not hold."""
    try:
        return store.put(key, body, **condition)
    except ClientError as error:
        # 404: what IfMatch names was cleared away meanwhile.
        if error_code(error)[0] in {404, 412}:
            return None
        raise


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
