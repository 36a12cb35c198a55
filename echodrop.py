"""The command line: `echodrop --help` lists what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="An S3 bucket that is an inbox for echosounder files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
sample = typer.Typer(help="Make sample files.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(sample, name="sample")

State = Annotated[Path, typer.Option("--folder", help="Where the system keeps its state and logs.")]

#: A terminal for results, another for what goes wrong.
_out = Console()
_err = Console(stderr=True)


@app.command()
def demo(
    raw: Annotated[
        str | None, typer.Option(help="A raw file, or s3://bucket/key of a public one.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Its sonar model, where the header cannot tell.")
    ] = None,
    folder: State = Path(".echodrop/demo"),
) -> None:
    """Convert one file through the whole system on this machine, and show what came out."""
    from sandbox.demo import DemoError, run_demo  # noqa: PLC0415 - each command loads its own

    try:
        verified = run_demo(folder, raw=raw, sonar_model=model, console=_out)
    except DemoError as error:
        _err.print(f"[red]{error}[/red]", highlight=False)
        raise typer.Exit(1) from error
    raise typer.Exit(0 if verified else 1)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
