"""Commands whose modules are imported when they run: `--help` does not wait for AWS or Prefect."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
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
    """A command whose function, `module:name`, has its options and its help."""

    def __init__(self, name: str, place: str) -> None:
        super().__init__(name, callback=None)
        module, _, self._function = place.partition(":")
        # In a wheel the other packages are below this one, see docs/decisions/packaging.md.
        is_below = Path(__file__).with_name(module.partition(".")[0]).is_dir()
        self._module = f"{__package__}.{module}" if is_below else module

    def load(self) -> Any:  # noqa: ANN401 - a command of typer's own copy of click
        """Import the function, and make the command of it."""
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        call = getattr(import_module(self._module), self._function)
        alone.command(self.name, epilog=epilog(self._function))(call)
        return get_command(alone)

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as above
        """Parse the arguments by the command itself."""
        return self.load().make_context(*args, **more)

    def get_short_help_str(self, limit: int = 45) -> str:
        """The summary for the list of commands, from the source: nothing is imported for it."""
        source = Path(__file__).parents[1].joinpath(*self._module.split(".")).with_suffix(".py")
        for each in ast.parse(source.read_text("utf-8")).body:
            if isinstance(each, ast.FunctionDef) and each.name == self._function:
                self.help = ast.get_docstring(each)
        return super().get_short_help_str(limit)


def lazy_group(commands: Mapping[str, str]) -> type[TyperGroup]:
    """A group of these commands: by name, the place of the function."""

    class LazyGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's
            super().__init__(**settings)
            lazy = {name: LazyCommand(name, place) for name, place in commands.items()}
            self.commands = {**lazy, **self.commands}

    return LazyGroup
