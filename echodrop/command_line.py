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
    "demo": (
        "echodrop.system_commands:demo",
        "Convert one file through the whole system on this machine and show the result.",
    ),
    "up": ("echodrop.system_commands:up", "Run the whole system on this machine until Ctrl-C."),
    "convert": (
        "echodrop.terminal:convert",
        "Convert raw files and verify the outputs, without a server.",
    ),
    "check": (
        "echodrop.terminal:check",
        "Check a raw file's datagrams: whether it is intact, its pings and its lost bytes.",
    ),
    "doctor": (
        "echodrop.doctor:doctor",
        "Check this machine: packages, disk, credentials, S3, Prefect; and what to do.",
    ),
    "status": (
        "operations.status.terminal:status",
        "Show whether the system is healthy, then what became of recent uploads, or of one.",
    ),
    "reconcile": (
        "operations.reconcile.terminal:reconcile",
        "Compare inbox, outputs and flow runs; show what is lost, torn or damaged, and how to fix it.",
    ),
    "replay": (
        "operations.replay.terminal:replay",
        "Send uploads, failed or crashed runs, dead letters or notifications through the trigger again.",
    ),
    "backfill": (
        "operations.backfill.terminal:backfill",
        "Convert an archive behind the live uploads; after an interruption, the next call resumes.",
    ),
    "draw": (
        "operations.draw.terminal:draw",
        "Make the echogram, thumbnail and viewer store of outputs that lack current ones.",
    ),
    "catalog": (
        "operations.catalog.terminal:catalog",
        "Bring the catalogue of all outputs up to date: STAC, a Parquet and a CSV table, the page's list.",
    ),
    "gallery": (
        "gallery.command:gallery",
        "Show the outputs in a browser: maps, echograms, quality. New ones appear by themselves.",
    ),
    "deploy": (
        "echodrop.system_commands:deploy",
        "Register a deployed stack with Prefect, then report what is missing and how to fix it.",
    ),
    "images": (
        "release.terminal:images",
        "Build both images, push them, and store their digests in .echodrop/images.json.",
    ),
    "release": (
        "release.terminal:release",
        "Release this code: check it, build images, deploy the stack, register with Prefect, and verify.",
    ),
    "undeploy": (
        "release.terminal:undeploy",
        "Remove a stack except its data: Prefect's objects, stack, images, sam's files, secret, key.",
    ),
}
SAMPLES = {
    "write": (
        "echodrop.system_commands:write",
        "Write an EK60 file of a transect over a simulated sea.",
    ),
}
RULES = {
    "check": (
        "operations.rules.terminal:check_rules",
        "Check rules documents before they are deployed; name the first wrong line of each.",
    ),
    "explain": (
        "operations.rules.terminal:explain_rules",
        "Show which rule takes an upload, and which outcome and sonar model it would get; send nothing.",
    ),
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
