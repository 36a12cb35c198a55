"""The commands of a release, with their options; each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

Stack = Annotated[str, typer.Option(help="The stack's name.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", help="NAME=VALUE of the stack; docs/deploy.md lists them."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print each step, and do none.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

# `--help` should not wait for what a command needs.
# ruff: noqa: PLC0415


def images(
    *, stack: Stack = "echodrop", parameter: Parameters = None, dry_run: DryRun = False
) -> None:
    """Build both images, push them, and keep their digests in .echodrop/images.json.

    An image of this very code that is in the repository already is not built again. Exit code 0: both
    are there; 1: a step failed; 2: something is missing, nothing was done.
    """
    from release.terminal import release_at_terminal

    raise typer.Exit(
        release_at_terminal(stack, parameter or (), dry_run=dry_run, images_alone=True)
    )


def release(
    *,
    stack: Stack = "echodrop",
    parameter: Parameters = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    check: Annotated[bool, typer.Option(help="Run checks/run first.")] = True,
) -> None:
    """Release this code: check, images, stack, registration with Prefect, check of the whole.

    A parameter that is not given stays as the stack has it. Exit codes as for images.
    """
    from release.terminal import release_at_terminal

    raise typer.Exit(
        release_at_terminal(
            stack, parameter or (), dry_run=dry_run, images_alone=False, ask=not yes, check=check
        )
    )


def undeploy(
    *,
    stack: Stack = "echodrop",
    delete_data: Annotated[
        list[str] | None,
        typer.Option(help="A bucket that the stack made, to be deleted with all it holds."),
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Minutes that conversions under way may take to end.", min=0)
    ] = 60,
    prefect: Annotated[
        bool, typer.Option(help="Whether pool, deployments and automations go, too.")
    ] = True,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Take a stack away, but for its data: Prefect's side, stack, images, sam's files, secret, key.

    Can be repeated until all is gone. Exit code 0: all is gone; 1: a step failed; 2: there is no stack.
    """
    from release.terminal import undeploy_at_terminal

    raise typer.Exit(
        undeploy_at_terminal(
            stack,
            delete_data=delete_data or (),
            wait_minutes=wait,
            prefect=prefect,
            dry_run=dry_run,
            confirmed=yes,
        )
    )
