"""Commands whose modules are imported when they run: `--help` does not wait for AWS or Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("demo", "demo --raw cruise/D2007.raw", "demo --raw s3://bucket/key.raw --model EK80"),
    "up": ("up", "up --tasks 1 --folder /tmp/echodrop"),
    "convert": (
        "convert D20070724-T042400.raw out/",
        "convert cruise/ out/ --platform Bigelow --survey 'Summer 2007'",
        "convert cruise/*.raw out/ --jobs 4 --dry-run",
        "convert s3://archive/2007/a.raw out/a.nc --anon",
        "convert 15100520.01A out/ --xml 15100804.XML",
        "convert damaged.raw out/ --allow-partial",
    ),
    "check": ("check D20070724-T042400.raw", "check s3://archive/2007/a.raw --anon --json"),
    "doctor": ("doctor", "doctor --out s3://output/cruise/", "doctor --stack echodrop"),
    "deploy": ("deploy --check", "deploy --stack echodrop --dry-run", "deploy --connect-inbox"),
    "status": (
        "status",
        "status s3://inbox/cruise/a.raw --watch",
        "status --since 7d --prefix cruise/",
    ),
    "reconcile": ("reconcile", "reconcile --fix --dry-run", "reconcile --prefix cruise/ --verify"),
    "replay": (
        "replay s3://inbox/cruise/a.raw",
        "replay s3://inbox/cruise/a.raw --allow-partial",
        "replay --since 24h --outcome BadFile --dry-run",
        "replay --dlq",
    ),
    "backfill": (
        "backfill s3://archive/2007/ --dry-run",
        "backfill s3://archive/2007/ --rate 2",
    ),
    "draw": (
        "draw out/",
        "draw s3://output/cruise/ --dry-run",
        "draw s3://output/cruise/D2007.zarr --force",
    ),
    "check_rules": ("rules check rules.toml",),
    "explain_rules": ("rules explain s3://inbox/cruise/a.raw --rules rules.toml",),
    "catalog": ("catalog s3://output/", "catalog out/ --dry-run"),
    "gallery": ("gallery out/", "gallery s3://output/cruise/ --open"),
    "images": ("images --stack echodrop --dry-run",),
    "release": (
        "release --stack echodrop --dry-run",
        "release --parameter AlertEmail=a@b.org --yes",
    ),
    "undeploy": ("undeploy --stack echodrop --dry-run",),
    "write": ("sample write sea.raw", "sample write sea.raw --pings 100 --samples 500"),
}


def epilog(name: str) -> str:
    """The epilog of a command's help; the first line keeps click from joining the others."""
    return "\n".join(["\b", "Examples:", *(f"  echodrop {line}" for line in EXAMPLES[name])])


class LazyCommand(TyperCommand):
    """A command of which only name and summary are known; its function has options and help."""

    def __init__(self, name: str, place: str, summary: str) -> None:
        super().__init__(name, help=summary, callback=None)
        self._place = place

    def load(self) -> Any:  # noqa: ANN401 - a command of typer's own copy of click
        """Import the function, `module:name`, and make the command of it."""
        module, _, function = self._place.partition(":")
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        call = getattr(import_module(module), function)
        alone.command(self.name, epilog=epilog(function))(call)
        return get_command(alone)

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as above
        """Parse the arguments by the command itself."""
        return self.load().make_context(*args, **more)


def lazy_group(commands: Mapping[str, tuple[str, str]]) -> type[TyperGroup]:
    """A group of these commands: by name, the place of the function, and its summary."""

    class LazyGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's
            super().__init__(**settings)
            lazy = {name: LazyCommand(name, *about) for name, about in commands.items()}
            self.commands = {**lazy, **self.commands}

    return LazyGroup
