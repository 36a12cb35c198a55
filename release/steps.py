"""The steps of a plan: each has a title, the equivalent commands, and a way to run it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from release.code_version import ROOT

_RESULT = re.compile(r"\{(\w+)\}")


class StepFailedError(Exception):
    """A step failed; `remedy` says what to do before the command is repeated."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def tools_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the project's own `sam` and `echodrop` first in PATH."""
    own = [ROOT / ".venv" / "tools" / "bin", Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, own), environment.get("PATH", os.defpath)])
    return {**environment, "PATH": path}


@dataclass
class StepContext:
    """What the steps of one run share.

    Attributes:
        client: returns the boto3 client of a service.
        results: results of earlier steps for later ones, by name.
        folder: the folder in which programs run and files are written.
    """

    client: Callable[[str], Any]
    say: Callable[[str], object]
    environment: Mapping[str, str] = field(default_factory=lambda: tools_path(os.environ))
    results: dict[str, str] = field(default_factory=dict)
    folder: Path = ROOT


@dataclass(frozen=True)
class Step:
    """One step of a plan; a dry run only prints `title`, and `shown`, the equivalent commands.

    `run` carries it out, and raises StepFailedError or ClientError if it fails.
    """

    title: str
    shown: Sequence[str]
    run: Callable[[StepContext], object]


def program(title: str, words: Sequence[str], remedy: str = "") -> Step:
    """Run a program; its output goes to the terminal.

    `{name}` in a word is replaced with the result of an earlier step, and shown as `<name>`.
    """

    def run(context: StepContext) -> None:
        filled = [_RESULT.sub(lambda name: context.results[name[1]], word) for word in words]
        run_program(filled, context, remedy=remedy)

    shown = shlex.join(_RESULT.sub(lambda name: f"<{name[1]}>", word) for word in words)
    return Step(title, [shown], run)


def run_program(
    words: Sequence[str], context: StepContext, *, typed: str | None = None, remedy: str = ""
) -> None:
    """Run a program in the run's folder, with `typed` on its stdin.

    Raises:
        StepFailedError: the program is missing, or its exit code is not 0.
    """
    try:
        done = subprocess.run(
            list(words),
            cwd=context.folder,
            env=dict(context.environment),
            input=typed,
            text=True,
            check=False,
        )
    except OSError as error:
        raise StepFailedError(str(error), remedy) from error
    if done.returncode:
        raise StepFailedError(f"{words[0]} ended with exit code {done.returncode}", remedy)


def aws_call(
    title: str,
    service: str,
    operation: str,
    arguments: Mapping[str, Any],
    done_already: Collection[str] = (),
) -> Step:
    """Call AWS's API; an error code in `done_already` means that nothing is left to do."""

    def run(context: StepContext) -> None:
        try:
            getattr(context.client(service), operation)(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in done_already:
                raise
            context.say("      already done")

    words = ["aws", service, operation.replace("_", "-")]
    shown = shlex.join([*words, "--cli-input-json", json.dumps(dict(arguments))])
    return Step(title, [shown], run)


def carry_out(steps: Sequence[Step], context: StepContext, *, dry_run: bool) -> None:
    """Print each step, and carry it out unless this is a dry run.

    Raises:
        StepFailedError: a step failed; the steps after it were not begun.
    """
    for number, step in enumerate(steps, 1):
        context.say(f"[{number}/{len(steps)}] {step.title}")
        for line in step.shown:
            context.say(f"      {line}")
        if not dry_run:
            try:
                step.run(context)
            except (StepFailedError, ClientError) as error:
                remedy = error.remedy if isinstance(error, StepFailedError) else ""
                raise StepFailedError(f"{step.title}: {error}", remedy) from error
