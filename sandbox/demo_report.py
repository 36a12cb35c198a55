"""Builds the demo's final report from the output's manifest."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from flows.core.locations import PICTURE_SUFFIX


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


def report_of(result: DemoResult, raw_bytes: int, seconds: float) -> Table:
    """Return the result as a table.

    `seconds` are from the upload's start to the run's end.
    """
    manifest = result.manifest
    output, contents = manifest["output"], manifest["contents"]
    times = contents["time_range"] or {"first": "-", "last": "-"}
    table = Table(show_header=False, title=manifest["source"]["uri"].rpartition("/")[2])
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    stages = ", ".join(f"{stage} {spent:.2f}" for stage, spent in manifest["timings"].items())
    verification = manifest["verification"]
    for label, value in (
        ("file", f"{manifest['source']['uri']} ({raw_bytes:,} bytes)"),
        ("model", f"{manifest['sonar']['model']} (found by {manifest['sonar']['found_by']})"),
        ("pings", _counts(contents["pings"])),
        ("channels", "\n".join(contents["channels"]) or "-"),
        ("time range", f"{times['first']} to {times['last']}"),
        ("output", output["uri"]),
        ("size", (f"{output['bytes']:,} bytes in {output['objects']} objects, "
                 f"{output['bytes'] / raw_bytes:.2f} of the raw file")),
        ("seconds", f"{seconds:.1f} from upload to completion; in the task: {stages}"),
        ("saved at", str(result.path)),
        (
            "verified",
            f"[green]yes[/green]: {verification['objects_listed']} objects listed with their "
            f"checksums, {verification['objects_read']} read back and compared"
            if result.verified
            else "[red]no[/red]",
        ),
    ):  # fmt: skip
        table.add_row(label, value)
    return table


def _counts(pings: Mapping[str, int]) -> str:
    """Format the pings of each channel, or one number if all channels have the same."""
    counts = set(pings.values())
    if len(counts) == 1:
        return f"{counts.pop():,}"
    return "\n".join(f"{channel}: {count:,}" for channel, count in pings.items()) or "-"
