"""The command line: `echodrop --help` lists the commands."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from echodrop.lazy_commands import lazy_group

# A new command is a line here, and its examples are in echodrop/lazy_commands.py. Its function, which
# has its options and returns the exit code, is imported when it runs.
COMMANDS = {
    "demo": "echodrop.system_commands:demo",
    "up": "echodrop.system_commands:up",
    "convert": "echodrop.terminal:convert",
    "check": "echodrop.terminal:check",
    "doctor": "echodrop.doctor:doctor",
    "status": "operations.status.terminal:status",
    "reconcile": "operations.reconcile.terminal:reconcile",
    "replay": "operations.replay.terminal:replay",
    "backfill": "operations.backfill.terminal:backfill",
    "draw": "operations.draw.terminal:draw",
    "catalog": "operations.catalog.terminal:catalog",
    "gallery": "gallery.command:gallery",
    "deploy": "echodrop.system_commands:deploy",
    "images": "release.terminal:images",
    "release": "release.terminal:release",
    "undeploy": "release.terminal:undeploy",
}
SAMPLES = {
    "write": "echodrop.system_commands:write",
}
RULES = {
    "check": "operations.rules.terminal:check_rules",
    "explain": "operations.rules.terminal:explain_rules",
}


def _exit(code: int | None, **_options: Any) -> None:  # noqa: ANN401 - those of the group
    raise typer.Exit(code or 0)


app = typer.Typer(
    cls=lazy_group(COMMANDS),
    help="An S3 bucket that is an inbox for echosounder files.",
    no_args_is_help=True,
    rich_markup_mode=None,
    result_callback=_exit,
    # Python's own traceback is a third as long.
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer calls it
    if value:
        typer.echo(f"echodrop {metadata.version('echodrop')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
    local: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a running sandbox to use (default: the one of echodrop up in this folder, if"
            " neither a stack nor AWS is named)."
        ),
    ] = None,
) -> None:
    if local is not None:
        # ruff: noqa: PLC0415 - as for the commands
        from operations.clients.stack_settings import SettingMissingError
        from operations.console.command_errors import print_error
        from operations.console.options import find_sandbox

        try:
            find_sandbox(local)
        except SettingMissingError as error:
            raise typer.Exit(print_error(error)) from error


for name, commands, text in (
    ("sample", SAMPLES, "Make sample files."),
    ("rules", RULES, "Check a rules document, and see what it does with an upload."),
):
    group = typer.Typer(
        cls=lazy_group(commands), help=text, no_args_is_help=True, rich_markup_mode=None
    )
    app.add_typer(group, name=name)
