"""What `echodrop convert` prints about each file: the path, what is missing, what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from echodrop.conversions import TRANSIENT, Ended
from flows.core.counted import counted
from flows.publishing.recording.quality import alarms
from flows.walk.repair_log import Repair


def print_ended(err: Console, ended: Ended) -> None:
    """Print what became of one file: its output's path, and last what is missing."""
    if ended.conversion is None:
        print_failure(err, ended)
        return
    done = ended.conversion
    if done.skipped:
        err.print(f"Skipped: {done.skipped}", style="yellow", markup=False, highlight=False)
    else:
        output, verified = done.manifest["output"], done.manifest["verification"]
        err.print(
            f"verified: {output['bytes']:,} bytes in {counted(output['objects'], 'object')}, "
            f"{verified['objects_read']} read back and compared",
            style="green",
            highlight=False,
        )
    out = Console()
    if out.is_terminal and err.is_terminal:
        # The console of the progress bar writes above it.
        out = err
    out.print(done.output, markup=False, highlight=False, soft_wrap=True)
    for line in _notes(ended):
        err.print(line, style="yellow", markup=False, highlight=False)


def _notes(ended: Ended) -> Iterator[str]:
    assert ended.conversion is not None  # noqa: S101 - the caller has checked it
    manifest = ended.conversion.manifest
    if ended.conversion.skipped is None:
        yield from (f"quality: {sentence}" for sentence in alarms(manifest["quality"]))
        for repair in manifest["repairs"]:
            yield f"repaired: {Repair(**repair)}"
    if ended.outcome == "partial":
        yield f"partial: the output has only a part of {ended.raw}"
    if missing := ended.conversion.missing:
        yield f"missing: {missing}"


def print_failure(err: Console, ended: Ended) -> None:
    """Print a failure's outcome and sentence, and what to do."""
    again = ended.code == TRANSIENT
    label, style = ("Try again", "yellow") if again else (ended.outcome, "red")
    err.print(f"{label}: {ended.message}", style=style, markup=False, highlight=False)
    if ended.remedy and not again:
        err.print(f"to do: {ended.remedy}", markup=False, highlight=False)


def print_summary(err: Console, ended: Sequence[Ended]) -> None:
    """The number of files by outcome, and below it each that is not wholly converted."""
    table = Table(box=None, header_style="bold")
    table.add_column("files", justify="right")
    table.add_column("outcome")
    for outcome, count in Counter(each.outcome for each in ended).most_common():
        table.add_row(f"{count:,}", outcome)
    err.print(table, highlight=False)
    for each in ended:
        if each.conversion is None:
            line = f"{each.outcome}: {each.message}"
            err.print(line, style="red", markup=False, highlight=False)
        elif each.outcome == "partial":
            line = f"partial: {each.raw}: {each.conversion.missing}"
            err.print(line, style="yellow", markup=False, highlight=False)
