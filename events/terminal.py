"""`echodrop replay` of notifications at a terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from events.fixture_files import INBOX
from events.replay import FunctionTarget, LocalHandler, fixture_messages, replay
from events.sending import QueueTarget, ReplayRow, Target
from lambda_trigger.clients.transport_errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLES = {"Submitted": "green", "Sent": "green", "Rejected": "red", "Retried": "red"}


def replay_at_terminal(
    fixtures: "Sequence[Path]",
    *,
    queue_url: str | None = None,
    function: str | None = None,
    inbox: str | None = None,
    dry_run: bool = False,
) -> int:
    """Send fixtures through the trigger and print the outcome of each record.

    Args:
        fixtures: files of `events/fixtures`, or files that contain only a notification.
        queue_url: URL of the trigger's queue; None for the function or this process.
        function: name of the deployed function.
        inbox: bucket that replaces the bucket of the fixtures.
        dry_run: only print what would be sent.

    Returns:
        An exit code: 1 if a record must be sent again, 2 if the settings are wrong.
    """
    err = Console(stderr=True)
    table = Table("source", "key", "outcome", "reason", "detail", box=None)
    again = 0
    try:
        messages = fixture_messages(fixtures, inbox or INBOX)
        if dry_run:
            for message in messages:
                Console().print(f"would send {message.source}", markup=False, highlight=False)
            return 0
        for row in replay(messages, _target(queue_url, function)):
            _add(table, row)
            again += row.outcome == "Retried"
    except BrokenPipeError:
        raise
    except (TransportError, ValueError, OSError) as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        return 2
    Console().print(table)
    if again:
        err.print(f"{again} records must be sent again", style="red")
    return 1 if again else 0


def _target(queue_url: str | None, function: str | None) -> Target:
    import boto3  # noqa: PLC0415 - takes half a second, and the local handler does not need it

    if queue_url:
        return QueueTarget(boto3.client("sqs"), queue_url)
    if function:
        return FunctionTarget(boto3.client("lambda"), function)
    return LocalHandler()


def _add(table: Table, row: ReplayRow) -> None:
    style = _STYLES.get(row.outcome, "yellow")
    outcome = f"[{style}]{row.outcome}[/{style}]"
    table.add_row(row.source, row.key, outcome, row.reason, row.flow_run_id or row.detail)
