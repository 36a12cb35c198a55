"""The command line: `echodrop --help` lists the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from operations.commands import backfill, reconcile, status
from operations.options import Local, find_sandbox
from operations.replay_command import replay
from release.commands import images, release, undeploy

app = typer.Typer(
    help="An S3 bucket that is an inbox for echosounder files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
sample = typer.Typer(help="Make sample files.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(sample, name="sample")

State = Annotated[Path, typer.Option("--folder", help="Folder for the system's state and logs.")]
Model = Annotated[
    str | None, typer.Option(help="Sonar model. Default: detected from the file's first bytes.")
]

# Commands import their modules when they run, because importing echopype and Prefect
# takes seconds and `--help` should be fast.
# ruff: noqa: PLC0415


@app.callback()
def _options(local: Local = None) -> None:
    if local is not None:
        find_sandbox(local)


@app.command()
def demo(
    raw: Annotated[
        str | None, typer.Option(help="A raw file, or s3://bucket/key of a public one.")
    ] = None,
    model: Model = None,
    folder: State = Path(".echodrop/demo"),
) -> None:
    """Convert one file through the whole system on this machine and show the result."""
    from sandbox.demo import run_demo

    raise typer.Exit(run_demo(folder, raw=raw, sonar_model=model, console=Console()))


@app.command()
def up(
    folder: State = Path(".echodrop/up"),
    database: Annotated[
        str,
        typer.Option(help="sqlite, postgresql (a private cluster) or a SQLAlchemy URL."),
    ] = "sqlite",
    tasks: Annotated[int, typer.Option(help="Number of conversions at the same time.", min=1)] = 2,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    from sandbox.system import SandboxOptions
    from sandbox.up import run_up

    options = SandboxOptions(database=database, parallel_tasks=tasks)
    raise typer.Exit(run_up(folder, options, Console()))


@app.command()
def convert(
    raw: Annotated[str, typer.Argument(help="A path, s3://bucket/key or http(s) URL.")],
    out: Annotated[str, typer.Argument(help="A folder, or a path that ends in .zarr or .nc.")],
    *,
    model: Model = None,
    xml: Annotated[str | None, typer.Option(help="The settings XML of an AZFP file.")] = None,
    output_type: Annotated[
        Literal["zarr", "netcdf"] | None,
        typer.Option("--type", help="Default: from the ending of OUT, otherwise zarr."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
    anonymous: Annotated[
        bool, typer.Option("--anon", help="Read a public bucket without credentials.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--allow-partial", help="Convert the intact part of a damaged file.")
    ] = False,
    verify: Annotated[
        Literal["sampled", "full"], typer.Option(help="How much of the output to verify.")
    ] = "sampled",
    zarr_format: Annotated[int, typer.Option(help="Zarr format, 2 or 3.", min=2, max=3)] = 3,
    corrections: Annotated[
        bool,
        typer.Option(help="Take the file's values where echopype changes or drops them, or not."),
    ] = True,
    compact: Annotated[
        bool, typer.Option(help="Compress losslessly, or write as echopype does.")
    ] = True,
) -> None:
    """Convert one raw file and verify the output, without a server.

    Exit code 0: the output is published or already existed; 1: the file cannot be converted;
    2: invalid arguments; 3: a temporary error, retry.
    """
    from flows.terminal import convert_at_terminal

    options = {
        "output_path": out,
        "output_type": output_type or ("netcdf" if out.endswith(".nc") else "zarr"),
        "xml_path": xml,
        "input_storage_options": {"anon": True} if anonymous else {},
        "overwrite": overwrite,
        "allow_partial": partial,
        "verify": verify,
        "zarr_format": zarr_format,
        "corrections": corrections,
        "compact": compact,
    }
    raise typer.Exit(convert_at_terminal(raw, model, options))


@app.command()
def check(
    file: Path,
    model: Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Check a raw file's datagrams: whether it is intact, its pings and its lost bytes."""
    from flows.terminal import check_at_terminal

    raise typer.Exit(check_at_terminal(file, model, as_json=as_json))


@app.command()
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
        typer.Option(help="How often the reconciliation checks every upload and output."),
    ] = "weekly",
) -> None:
    """Register a deployed stack with Prefect, then report what is missing and how to fix it."""
    from flows.deployment.stack_deployment import deploy_at_terminal
    from operations.reconcile.reconcile_flow import reconcile_specs
    from release.code_version import code_version

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


for command in (status, reconcile, replay, backfill, images, release, undeploy):
    app.command()(command)


@sample.command("write")
def sample_write(
    target: Path,
    pings: Annotated[int, typer.Option(min=1)] = 480,
    samples: Annotated[int, typer.Option(min=1, help="Samples per ping.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 0,
) -> None:
    """Write an EK60 file of a transect over a simulated sea."""
    from sandbox.sea.sample_file import write_sample

    written = write_sample(target, pings=pings, samples=samples, seed=seed)
    typer.echo(f"{written.path}: {written.bytes:,} bytes, {written.pings} pings")


@sample.command("grow")
def sample_grow(
    source: Path,
    target: Path,
    size: Annotated[str, typer.Option(help="Minimum size, such as 100MB or 2GiB.")],
) -> None:
    """Grow a Simrad file by repeating its pings with later times."""
    from sandbox.terminal import grow_at_terminal

    raise typer.Exit(grow_at_terminal(source, target, size))
