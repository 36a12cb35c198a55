"""The commands `echodrop convert` and `echodrop check` at a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.core.locations import LocalLocation, parse_location
from flows.core.outcomes import ConversionFailure, TransientFault
from flows.publishing.publication import Published
from flows.publishing.recording.quality import alarms, walk_facts
from flows.stores.request import ConversionRequest
from flows.walk import check_rows, decide, preflight
from sonar_models import HEAD_BYTES, model_in_bytes

#: Exit codes of `echodrop convert` and `echodrop check`, for scripts.
DONE, FAILED, USAGE, TRANSIENT = 0, 1, 2, 3


class ModelUnknownError(ValueError):
    """The sonar model was not given, and could not be detected."""

    def __init__(self, file: str, cause: str) -> None:
        super().__init__(f"{file}: {cause}; give the sonar model with --model")
        self.file = file


def model_of(raw_file: str) -> str:
    """Detect the sonar model from the first bytes of a local file, as the trigger does.

    Raises:
        ModelUnknownError: the file is not local, or its format is unknown.
        OSError: it cannot be read.
    """
    location = parse_location(raw_file)
    if not isinstance(location, LocalLocation):
        raise ModelUnknownError(raw_file, "the model is detected only for local files")
    with location.path.open("rb", buffering=0) as raw:
        found = model_in_bytes(raw.read(HEAD_BYTES))
    if found is None:
        raise ModelUnknownError(raw_file, "its first bytes match no known sonar")
    return found.name


def convert_at_terminal(raw_file: str, model: str | None, fields: dict[str, Any]) -> int:
    """Convert one file with a progress bar; print the output's path or the error.

    Args:
        raw_file: path or URI.
        model: its sonar model; None to detect it from a local file's first bytes.
        fields: other fields of `ConversionRequest`.

    Returns:
        An exit code: DONE (published, or skipped because it was already published),
            FAILED (invalid file or request), TRANSIENT (try again), USAGE.
    """
    from flows.conversion import convert  # noqa: PLC0415 - xarray and zarr: a second

    out, err = Console(), Console(stderr=True, soft_wrap=True)
    try:
        request = ConversionRequest(
            raw_file=raw_file,
            sonar_model=model or model_of(raw_file),
            sonar_model_source="caller" if model else "bytes",
            **fields,
        )
    except (ValueError, OSError) as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        return USAGE
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        task = progress.add_task("starting", total=1.0)
        try:
            result = convert(
                request,
                lambda stage, done: progress.update(task, description=stage, completed=done),
            )
        except ConversionFailure as failure:
            err.print(f"{failure.outcome}: {failure}", style="red", markup=False, highlight=False)
            return FAILED
        except TransientFault as fault:
            err.print(f"Try again: {fault}", style="yellow", markup=False, highlight=False)
            return TRANSIENT
        except MemoryError as error:
            message = f"Out of memory: {raw_file}: {error}: use a machine with more memory"
            err.print(message, style="red", markup=False, highlight=False)
            return FAILED
    if isinstance(result, Published):
        output, verified = result.manifest["output"], result.manifest["verification"]
        err.print(
            f"verified: {output['bytes']:,} bytes in {output['objects']} objects, "
            f"{verified['objects_read']} read back and compared",
            style="green",
            highlight=False,
        )
        if missing := result.manifest["missing"]:
            err.print(f"missing: {missing}", style="yellow", markup=False, highlight=False)
        for sentence in alarms(result.manifest["quality"]):
            err.print(f"quality: {sentence}", style="yellow", markup=False, highlight=False)
        for repair in result.manifest["repairs"]:
            line = f"repaired: {repair['what']} ({repair['count']} times)"
            err.print(line, style="yellow", markup=False, highlight=False)
    else:
        err.print(f"Skipped: {result.reason}", style="yellow", markup=False, highlight=False)
    # Only the path goes to standard output, so that a script can read it.
    out.print(result.output, markup=False, highlight=False, soft_wrap=True)
    return DONE


def check_at_terminal(file: Path, model: str | None, *, as_json: bool = False) -> int:
    """Walk over a file's datagrams and print a summary.

    Args:
        file: path of the raw file.
        model: its sonar model; None to detect it.
        as_json: print the summary and the quality facts as JSON.

    Returns:
        DONE if `convert` would open the file without `--allow-partial`, else FAILED: both ask
        `flows.walk.decide`.
    """
    err = Console(stderr=True, soft_wrap=True)
    try:
        # A file of unknown format is checked as the most common format, which reports the damage.
        model = model or _model_or_simrad(file)
        summary = preflight(file, model)
    except (ValueError, OSError) as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        return USAGE
    facts = [fact.as_json() for fact in walk_facts(summary, name=file.name)]
    if as_json:
        print(json.dumps({**summary.as_json(), "quality": facts}, indent=1, ensure_ascii=False))  # noqa: T201 - Rich would wrap it
    else:
        table = Table(show_header=False, box=None)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for label, text in check_rows(summary):
            table.add_row(label, text)
        for sentence in alarms(facts):
            table.add_row("quality", sentence)
        Console().print(table, highlight=False)
    try:
        decide(summary, model)
    except ConversionFailure as failure:
        err.print(f"{failure.outcome}: {failure}", style="red", markup=False, highlight=False)
        return FAILED
    return DONE


def _model_or_simrad(file: Path) -> str:
    try:
        return model_of(str(file))
    except ModelUnknownError:
        return "EK60"
