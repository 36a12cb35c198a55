"""`echodrop sample grow`."""

from pathlib import Path

from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from sandbox.sea.grow import SimradFileError, grow


def grow_at_terminal(source: Path, target: Path, size: str) -> int:
    """Grow `source` to at least `size` (such as 100MB); return the exit code."""
    err = Console(stderr=True)
    try:
        wanted = TypeAdapter(ByteSize).validate_python(size)
    except ValidationError:
        err.print(f"--size {size}: not a size such as 100MB or 2GiB", style="red")
        return 2
    with Progress(
        TextColumn(source.name), BarColumn(), DownloadColumn(), console=err, transient=True
    ) as progress:
        task = progress.add_task("grow", total=wanted)
        try:
            grown = grow(
                source,
                target,
                int(wanted),
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        except (SimradFileError, OSError) as error:
            err.print(str(error), style="red", markup=False, highlight=False)
            return 1
    print(f"{target}: {grown.bytes:,} bytes, {grown.pings:,} pings")  # noqa: T201 - the command's result
    return 0
