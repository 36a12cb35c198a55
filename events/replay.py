"""Replays notifications with the trigger in this process, or through its queue."""

import contextlib
import io
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from events.notifications import in_sqs
from events.sending import BATCH, Message, ReplayRow, Target
from lambda_trigger.handler import handler

LOCAL_SECONDS = 120


class LocalHandler:
    """Runs the trigger in this process; the environment has its settings (lambda_trigger.settings)."""

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Call the trigger with the messages as one batch."""
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            handler(in_sqs([message.body for message in messages]), _LocalContext())
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
        return _rows(messages, lines)


def notification_in(text: str) -> str:
    """The notification in a fixture (tests/event_fixtures.py); any other text is one itself."""
    try:
        content = json.loads(text)
    except ValueError:
        return text
    if not (isinstance(content, dict) and {"notification", "expected"} <= content.keys()):
        return text
    body = content["notification"]
    return body if isinstance(body, str) else json.dumps(body)


def fixture_messages(paths: Iterable[Path]) -> Iterator[Message]:
    """Read fixtures, or files that contain only a notification, as messages."""
    for path in paths:
        yield Message(path.stem, notification_in(path.read_text()))


def replay(messages: Iterable[Message], target: Target) -> Iterator[ReplayRow]:
    """Send messages in batches, in order, and yield the row of each record."""
    waiting = iter(messages)
    while batch := list(islice(waiting, BATCH)):
        yield from target.send(batch)


class _LocalContext:
    function_name = "local"
    invoked_function_arn = "local"
    memory_limit_in_mb = 0

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return LOCAL_SECONDS * 1000


def _rows(messages: Sequence[Message], lines: Sequence[dict[str, Any]]) -> list[ReplayRow]:
    """Match log lines to messages, by the message ids of `in_sqs`."""
    rows = []
    for index, message in enumerate(messages):
        own = [line for line in lines if line.get("message_id") == f"message-{index}"]
        if not own:
            problem = ("Retried", "no-line", "the log shows no outcome")
            rows.append(ReplayRow(message.source, "", *problem))
        rows += [
            ReplayRow(
                source=message.source,
                key=str(line.get("key", "")),
                outcome=str(line["outcome"]),
                reason=str(line["reason"]),
                detail=str(line.get("detail") or line.get("error") or ""),
                flow_run_id=str(line.get("flow_run_id", "")),
            )
            for line in own
        ]
    return rows
