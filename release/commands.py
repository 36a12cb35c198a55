"""The commands of a release and their options; each imports its dependencies when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

Stack = Annotated[str, typer.Option(help="The stack's name.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", help="NAME=VALUE of the stack; docs/deploy.md lists them."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the steps.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

# `--help` should not wait for slow imports.
# ruff: noqa: PLC0415


def images(
    *, stack: Stack = "echodrop", parameter: Parameters = None, dry_run: DryRun = False
) -> None:
    """Build both images, push them, and store their digests in .echodrop/images.json.

    An image of this code that is already in the repository is not built again. Exit code 0: both
    exist; 1: a step failed; 2: something is missing, and nothing was done.
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
    """Release this code: check it, build images, deploy the stack, register with Prefect, and verify.

    A parameter that is not given keeps the stack's value. The exit codes are those of images.
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
        typer.Option(help="A bucket of the stack to delete with its content."),
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Minutes to wait for running conversions.", min=0)
    ] = 60,
    prefect: Annotated[
        bool, typer.Option(help="Also delete pool, deployments and automations in Prefect.")
    ] = True,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Remove a stack except its data: Prefect's objects, stack, images, sam's files, secret, key.

    It can be repeated until all is gone. Exit code 0: all is gone; 1: a step failed; 2: there is no stack.
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
