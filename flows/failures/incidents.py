"""Incidents: failures with one cause in one cruise. The first is reported, the others are counted.

An incident consists of small objects. `<root><incident>/incident.json`, its head,
describes the file that opened it. Below `<root><incident>/<opening>/`, where the
opening is the head's entity tag, there is one object for each later file, and
`reported.json` once the incident was reported. The run whose conditional put creates the
head has opened the incident. The watchdog (`watchdog/incidents.py`) reports an incident
that its opener could not report, reports its final count, and deletes its objects;
without a watchdog the template's lifecycle rule deletes them.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from botocore.exceptions import ClientError

from flows.failures.failure_report import FailureReport
from flows.stores.object_store import ObjectStore, error_code

HEAD, REPORTED = "incident.json", "reported.json"
# A failure later than this after the first opens a new incident.
WINDOW = timedelta(hours=1)

# It may be closed or taken over between two requests.
_LOOKS = 3


def incident_id(report: FailureReport) -> str:
    """The incident that a failure belongs to: 20 hex digits over cruise, outcome and kind of cause."""
    return _digest(report.cruise, report.outcome, report.kind)


def opens_incident(store: ObjectStore, root: str, report: FailureReport) -> str | None:
    """Record a failure in its incident.

    The keys begin with `root`: empty, or folders that each end in a slash.

    Returns:
        The key for `mark_reported` if this failure is the first and must be reported;
        None if it is a later one.

    Raises:
        ClientError, BotoCoreError: the store refuses or does not answer.
    """
    folder = f"{root}{incident_id(report)}/"
    note = f"{_digest(report.run.id, report.source)}.json"
    body = (json.dumps(report.as_alert(), ensure_ascii=False) + "\n").encode()
    opening = "unknown"
    for _ in range(_LOOKS):
        if opened := _put(store, folder + HEAD, body, IfNoneMatch="*"):
            return f"{folder}{opened}/{REPORTED}"
        head = store.get(folder + HEAD)
        if head is None:
            continue
        opening = head.etag
        if head.body == body:
            # Our own put, which was retried because its response was lost.
            return f"{folder}{opening}/{REPORTED}"
        if head.store_time - head.last_modified <= WINDOW:
            break
        # It is old and was not deleted. Its content moves to its later files, so that it is counted
        # there.
        store.put(f"{folder}{opening}/{HEAD}", head.body)
        if opened := _put(store, folder + HEAD, body, IfMatch=opening):
            return f"{folder}{opened}/{REPORTED}"
    store.put(f"{folder}{opening}/{note}", body)
    return None


def mark_reported(store: ObjectStore, mark: str) -> None:
    """Record that the first failure of an incident was reported.

    Raises:
        ClientError, BotoCoreError: the store refuses or does not answer.
    """
    store.put(mark, b'{"count": 1}\n')


def _put(store: ObjectStore, key: str, body: bytes, **condition: str) -> str | None:
    """Put with a condition; return the entity tag, or None if the condition fails."""
    try:
        return store.put(key, body, **condition)
    except ClientError as error:
        # 404: the object of IfMatch was deleted in the meantime.
        if error_code(error)[0] in {404, 412}:
            return None
        raise


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
