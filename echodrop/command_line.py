"""The command line: `echodrop --help` lists the commands."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from echodrop.examples import epilog
from echodrop.file_commands import Model, check, convert, doctor
from gallery.command import gallery
from operations.commands import backfill, catalog, reconcile, status
from operations.draw_command import draw
from operations.options import Local, find_sandbox
from operations.replay_command import replay
from operations.rules_command import check_rules, explain_rules
from release.commands import images, release, undeploy

app = typer.Typer(
    help="An S3 bucket that is an inbox for echosounder files.",
    no_args_is_help=True,
    rich_markup_mode=None,
    # Python's own traceback is a third as long.
    pretty_exceptions_enable=False,
)
sample = typer.Typer(help="Make sample files.", no_args_is_help=True, rich_markup_mode=None)
rules = typer.Typer(
    help="Check a rules document, and see what it does with an upload.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

State = Annotated[Path, typer.Option("--folder", help="Folder for the system's state and logs.")]

# Commands import their modules when they run, because importing echopype and Prefect
# takes seconds and `--help` should be fast.
# ruff: noqa: PLC0415


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
    local: Local = None,
) -> None:
    if local is not None:
        find_sandbox(local)


def _need_a_clone() -> None:
    """End the command in an installed wheel, which has no template and no sandbox."""
    if not Path(__file__).parents[1].joinpath("template.yaml").is_file():
        typer.echo(
            "This command needs a clone of the repository, with its template: git clone it, and "
            "type make there.",
            err=True,
        )
        raise typer.Exit(2)


def demo(
    raw: Annotated[
        str | None, typer.Option(help="A raw file, or s3://bucket/key of a public one.")
    ] = None,
    model: Model = None,
    folder: State = Path(".echodrop/demo"),
) -> None:
    """Convert one file through the whole system on this machine and show the result."""
    _need_a_clone()
    from sandbox.demo import run_demo

    raise typer.Exit(run_demo(folder, raw=raw, sonar_model=model, console=Console()))


def up(
    folder: State = Path(".echodrop/up"),
    database: Annotated[
        str,
        typer.Option(help="sqlite, postgresql (a private cluster) or a SQLAlchemy URL."),
    ] = "sqlite",
    tasks: Annotated[int, typer.Option(help="Number of conversions at the same time.", min=1)] = 2,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    _need_a_clone()
    from sandbox.system import SandboxOptions
    from sandbox.up import run_up

    options = SandboxOptions(database=database, parallel_tasks=tasks, gallery=True)
    raise typer.Exit(run_up(folder, options, Console()))


def deploy(
    *,
    stack: Annotated[str, typer.Option(help="Name of the deployed stack.")] = "echodrop",
    region: Annotated[
        str | None, typer.Option(help="AWS region. Default: from the AWS settings.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change, but change nothing.")
    ] = False,
    only_check: Annotated[
        bool, typer.Option("--check", help="Only report what is missing.")
    ] = False,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect-inbox",
            help="Send the upload events of an existing inbox bucket to EventBridge; its other notifications do not change.",
        ),
    ] = False,
    reconcile_cron: Annotated[
        str, typer.Option(help="Schedule of the automatic reconciliation, in UTC.")
    ] = "7 * * * *",
    whole_look: Annotated[
        Literal["daily", "weekly"],
        typer.Option(
            case_sensitive=False,
            help="How often the reconciliation checks every upload and output.",
        ),
    ] = "weekly",
) -> None:
    """Register a deployed stack with Prefect, then report what is missing and how to fix it."""
    from flows.deployment.stack_deployment import deploy_at_terminal
    from operations.reconcile.reconcile_flow import reconcile_specs
    from release.code_version import code_version

    if not only_check:
        _need_a_clone()
    if only_check and connect:
        raise typer.BadParameter(
            "--check and --connect-inbox cannot be combined: --check changes nothing"
        )
    code = code_version()
    raise typer.Exit(
        deploy_at_terminal(
            stack,
            region=region,
            dry_run=dry_run,
            only_check=only_check,
            connect=connect,
            more=reconcile_specs(stack, reconcile_cron, whole_look),
            version=code.version if code else None,
        )
    )


def sample_write(
    target: Path,
    pings: Annotated[int, typer.Option(min=1)] = 480,
    samples: Annotated[int, typer.Option(min=1, help="Samples per ping.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 0,
    start: Annotated[
        datetime | None, typer.Option(help="Time of the first ping, UTC (default: an evening).")
    ] = None,
) -> None:
    """Write an EK60 file of a transect over a simulated sea."""
    from sandbox.sea.sample_file import DUSK, write_sample

    first = start.replace(tzinfo=UTC) if start else DUSK
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        written = write_sample(target, pings=pings, samples=samples, seed=seed, start=first)
    except OSError as error:
        typer.echo(f"{target}: {error.strerror}: choose a folder that can be written to", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{written.path}: {written.bytes:,} bytes, {written.pings} pings")


# A new command is a line here, and its examples are in echodrop/examples.py.
for command in (
    *(demo, up, convert, check, doctor),
    *(status, reconcile, replay, backfill, draw, catalog, gallery),
    *(deploy, images, release, undeploy),
):
    app.command(epilog=epilog(command.__name__))(command)
sample.command("write", epilog=epilog("write"))(sample_write)
rules.command("check", epilog=epilog("check_rules"))(check_rules)
rules.command("explain", epilog=epilog("explain_rules"))(explain_rules)
app.add_typer(sample, name="sample")
app.add_typer(rules, name="rules")
