"""`echodrop replay` of notifications at a terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from events.fixture_files import INBOX
from events.replay import FunctionTarget, LocalHandler, fixture_messages, replay
from events.sending import QueueTarget, Target
from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.wording import counted

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

    They go to the queue, else to the deployed function, else to the trigger in this process.

    Returns:
        An exit code: 1 if a record must be sent again, 2 if the settings are wrong.
    """
    err = Console(stderr=True)
    console = Console()
    again = 0
    try:
        messages = fixture_messages(fixtures, inbox or INBOX)
        if dry_run:
            for message in messages:
                _print(console, f"would send {message.source}")
            return 0
        for row in replay(messages, _target(queue_url, function)):
            style = _STYLES.get(row.outcome, "yellow")
            detail = row.flow_run_id or row.detail
            differs = "" if row.is_expected else f"the fixture expects {row.expected}"
            parts = (f"{row.outcome}: {row.reason}", row.source, row.key, detail, differs)
            _print(console, "  ".join(part for part in parts if part), style)
            again += row.outcome == "Retried"
    except BrokenPipeError:
        raise
    except (TransportError, ValueError, OSError) as error:
        _print(err, str(error), "red")
        return 2
    if again:
        _print(err, f"{counted(again, 'record')} must be sent again", "red")
    return 1 if again else 0


def _target(queue_url: str | None, function: str | None) -> Target:
    import boto3  # noqa: PLC0415 - takes half a second, and the local handler does not need it

    if queue_url:
        return QueueTarget(boto3.client("sqs"), queue_url)
    if function:
        return FunctionTarget(boto3.client("lambda"), function)
    return LocalHandler()


def _print(console: Console, line: str, style: str = "") -> None:
    """Print one line whole, so that no key is cut."""
    console.print(Text(line, style), soft_wrap=True)
