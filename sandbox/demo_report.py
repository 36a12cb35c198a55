"""Builds the demo's final report from the output's manifest."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from flows.core.locations import PICTURE_SUFFIX
from flows.publishing.manifest import manifest_rows


@dataclass(frozen=True)
class DemoResult:
    """The downloaded output: its manifest, and the local copy with its products beside it."""

    manifest: Mapping[str, Any]
    path: Path

    @property
    def verified(self) -> bool:
        """Whether the manifest records that every object was listed and objects were read back."""
        verification = self.manifest["verification"]
        listed: int = verification["objects_listed"]
        objects: int = self.manifest["output"]["objects"]
        read: int = verification["objects_read"]
        return listed == objects and read > 0

    def how_to_open(self) -> str:
        """Return the lines of Python that open the local copy."""
        return (
            "\nOpen it:\n"
            "  from echodrop import open_output\n"
            f"  echodata = open_output({str(self.path)!r})\n"
            '  print(echodata["Sonar/Beam_group1"])\n'
        )

    def how_to_look(self) -> str:
        """Return the picture's address, and the line that opens the gallery."""
        picture = self.path.with_name(self.path.name + PICTURE_SUFFIX)
        address = picture.absolute().as_uri() if picture.is_file() else "not made, see the log"
        return (
            f"Picture:  {address}\nGallery:  echodrop gallery {shlex.quote(str(self.path.parent))}"
        )


def report_of(result: DemoResult, seconds: float) -> Table:
    """Return the result as a table; `seconds` are from the upload's start to the run's end."""
    table = Table(show_header=False, title=result.path.name)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in manifest_rows(result.manifest):
        table.add_row(row["fact"], escape(row["value"]))
    table.add_row("upload to completion", f"{seconds:.1f} s")
    table.add_row("saved at", escape(str(result.path)))
    table.add_row("result", "[green]verified[/green]" if result.verified else "[red]not verified")
    return table
