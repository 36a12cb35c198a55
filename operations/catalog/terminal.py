"""`echodrop catalog` at a terminal."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from operations.catalog.places import ChangedMeanwhileError, place_at
from operations.catalog.reading import FOLDER
from operations.catalog.writing import update_catalog
from operations.console.command_errors import UNAVAILABLE, print_error
from operations.console.options import DryRun, Json, Output, Stack, output_root
from operations.console.printing import print_json, progress_bar


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
    unreadable = update.reading.unreadable
    if as_json:
        print_json({"catalog": root.uri + FOLDER, **update.as_json()})
        return 1 if unreadable else 0
    console = Console(soft_wrap=True, highlight=False, markup=False)
    would = "would be " if dry_run else ""
    console.print(
        f"{root.uri}{FOLDER}: {update.outputs:,} outputs and {update.failed:,} failed uploads,"
        f" of which {update.reading.read:,} are new or changed; {update.reading.removed:,} are gone"
    )
    console.print(f"{update.written:,} files {would}written, {update.removed:,} {would}removed")
    for path, why in unreadable.items():
        console.print(f"{path} is left out: {why}")
    return 1 if unreadable else 0
