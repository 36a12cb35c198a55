"""The commands for the system: demo, up, deploy; and for sample files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from sonar_models import SONAR_MODELS

# A wheel lacks the sandbox, and importing Prefect takes seconds.
# ruff: noqa: PLC0415


def _known(model: str | None) -> str | None:
    if model and model.upper() not in SONAR_MODELS:
        raise typer.BadParameter(f"{model} is none of {', '.join(SONAR_MODELS)}")
    return model


Model = Annotated[
    str | None,
    typer.Option(
        help="Sonar model. Default: detected from the file's first bytes.",
        callback=_known,
        autocompletion=lambda: list(SONAR_MODELS),
    ),
]
State = Annotated[Path, typer.Option("--folder", help="Folder for the system's state and logs.")]


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
) -> int:
    """Convert one file through the whole system on this machine and show the result."""
    _need_a_clone()
    from sandbox.demo import run_demo

    return run_demo(folder, raw=raw, sonar_model=model, console=Console())


def up(
    folder: State = Path(".echodrop/up"),
    database: Annotated[
        str,
        typer.Option(help="sqlite, postgresql (a private cluster) or a SQLAlchemy URL."),
    ] = "sqlite",
    tasks: Annotated[int, typer.Option(help="Number of conversions at the same time.", min=1)] = 2,
) -> int:
    """Run the whole system on this machine until Ctrl-C."""
    _need_a_clone()
    from sandbox.system import SandboxOptions
    from sandbox.up import run_up

    options = SandboxOptions(database=database, parallel_tasks=tasks, gallery=True)
    return run_up(folder, options, Console())


def deploy(
    *,
    stack: Annotated[str, typer.Option(help="Name of the deployed stack.")] = "echodrop",
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
) -> int:
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
    return deploy_at_terminal(
        stack,
        dry_run=dry_run,
        only_check=only_check,
        connect=connect,
        more=reconcile_specs(stack, reconcile_cron, whole_look),
        version=code.version if code else None,
    )


def write(
    target: Path,
    pings: Annotated[int, typer.Option(min=1)] = 480,
    samples: Annotated[int, typer.Option(min=1, help="Samples per ping.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 0,
    start: Annotated[
        datetime | None, typer.Option(help="Time of the first ping, UTC (default: an evening).")
    ] = None,
) -> int:
    """Write an EK60 file of a transect over a simulated sea."""
    from sandbox.sea.sample_file import DUSK, write_sample

    first = start.replace(tzinfo=UTC) if start else DUSK
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        written = write_sample(target, pings=pings, samples=samples, seed=seed, start=first)
    except OSError as error:
        typer.echo(f"{target}: {error.strerror}: choose a folder that can be written to", err=True)
        return 1
    typer.echo(f"{written.path}: {written.bytes:,} bytes, {written.pings} pings")
    return 0
