"""The command line: `echodrop --help` lists what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from operations.commands import backfill, reconcile, replay, status
from release.commands import images, release, undeploy

app = typer.Typer(
    help="An S3 bucket that is an inbox for echosounder files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
sample = typer.Typer(help="Make sample files.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(sample, name="sample")

State = Annotated[Path, typer.Option("--folder", help="Where the system keeps its state and logs.")]
Model = Annotated[
    str | None, typer.Option(help="Sonar model; left out, the file's first bytes tell it.")
]

# Each command imports what it needs when it runs: echopype and Prefect take
# seconds, and `--help` should not.
# ruff: noqa: PLC0415


@app.command()
def demo(
    raw: Annotated[
        str | None, typer.Option(help="A raw file, or s3://bucket/key of a public one.")
    ] = None,
    model: Model = None,
    folder: State = Path(".echodrop/demo"),
) -> None:
    """Convert one file through the whole system on this machine, and show what came out."""
    from sandbox.demo import run_demo

    raise typer.Exit(run_demo(folder, raw=raw, sonar_model=model, console=Console()))


@app.command()
def up(
    folder: State = Path(".echodrop/up"),
    database: Annotated[
        str,
        typer.Option(help="sqlite, postgresql (a private cluster), or a SQLAlchemy URL."),
    ] = "sqlite",
    tasks: Annotated[int, typer.Option(help="Conversions at a time.", min=1)] = 2,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    from sandbox.system import SandboxOptions
    from sandbox.up import run_up

    options = SandboxOptions(database=database, parallel_tasks=tasks)
    raise typer.Exit(run_up(folder, options, Console()))


@app.command()
def convert(
    raw: Annotated[str, typer.Argument(help="A path, s3://bucket/key or http(s) address.")],
    out: Annotated[str, typer.Argument(help="A folder, or a path that ends in .zarr or .nc.")],
    *,
    model: Model = None,
    xml: Annotated[str | None, typer.Option(help="Settings XML of an AZFP file.")] = None,
    output_type: Annotated[
        Literal["zarr", "netcdf"] | None,
        typer.Option("--type", help="Left out: by OUT's ending, else zarr."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an output that is there.")] = False,
    anonymous: Annotated[
        bool, typer.Option("--anon", help="Read a public bucket without credentials.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--allow-partial", help="Convert what is whole of a damaged file.")
    ] = False,
    verify: Annotated[
        Literal["sampled", "full"], typer.Option(help="How much of the output to read back.")
    ] = "sampled",
    zarr_format: Annotated[int, typer.Option(help="2 or 3.", min=2, max=3)] = 3,
    compact: Annotated[
        bool, typer.Option(help="Losslessly packed, or as echopype writes it.")
    ] = True,
) -> None:
    """Convert one raw file and read the result back; no server needed.

    Exit code 0: published or there already; 1: the file cannot be converted; 2: wrong call;
    3: try again.
    """
    from flows.terminal import convert_at_terminal

    wishes = {
        "output_path": out,
        "output_type": output_type or ("netcdf" if out.endswith(".nc") else "zarr"),
        "xml_path": xml,
        "input_storage_options": {"anon": True} if anonymous else {},
        "overwrite": overwrite,
        "allow_partial": partial,
        "verify": verify,
        "zarr_format": zarr_format,
        "compact": compact,
    }
    raise typer.Exit(convert_at_terminal(raw, model, wishes))


@app.command()
def check(file: Path, model: Model = None) -> None:
    """Walk a raw file's datagrams: intact or cut, which pings, which bytes are lost."""
    from flows.terminal import check_at_terminal

    raise typer.Exit(check_at_terminal(file, model))


@app.command()
def deploy(
    *,
    stack: Annotated[str, typer.Option(help="Name of the deployed stack.")] = "echodrop",
    region: Annotated[str | None, typer.Option(help="Left out: the AWS settings' own.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    only_check: Annotated[bool, typer.Option("--check", help="Only say what is missing.")] = False,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect-inbox",
            help="Have an inbox that existed before the stack tell EventBridge of uploads; what else it notifies stays.",
        ),
    ] = False,
    reconcile_cron: Annotated[
        str, typer.Option(help="When the inbox is reconciled by itself, in UTC.")
    ] = "7 * * * *",
    whole_look: Annotated[
        Literal["daily", "weekly"],
        typer.Option(help="How often the reconciliation looks at every upload and output again."),
    ] = "weekly",
) -> None:
    """Register a deployed stack with Prefect, then say what is missing and what mends it."""
    from flows.stack_deployment import deploy_at_terminal
    from operations.reconcile_flow import reconcile_specs
    from release.code_version import code_version

    if only_check and connect:
        raise typer.BadParameter("--check changes nothing, --connect-inbox changes the inbox")
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
    samples: Annotated[int, typer.Option(min=1, help="Samples a ping.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same sea.")] = 0,
) -> None:
    """Write an EK60 file of a transect over a sea that looks like one."""
    from sandbox.sample_file import write_sample

    written = write_sample(target, pings=pings, samples=samples, seed=seed)
    typer.echo(f"{written.path}: {written.bytes:,} bytes, {written.pings} pings")


@sample.command("grow")
def sample_grow(
    source: Path,
    target: Path,
    size: Annotated[str, typer.Option(help="At least this much, such as 100MB or 2GiB.")],
) -> None:
    """Grow a Simrad file by repeating its pings with advancing times."""
    from sandbox.terminal import grow_at_terminal

    raise typer.Exit(grow_at_terminal(source, target, size))


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
