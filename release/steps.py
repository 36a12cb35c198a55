"""The steps of a plan: each has a title, the equivalent commands, and a way to run it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError

from release.code_version import ROOT

_RESULT = re.compile(r"\{(\w+)\}")


class StepFailedError(Exception):
    """A step failed; `remedy` says what to do before the command is repeated."""

    def __init__(self, title: str, reason: str, remedy: str = "") -> None:
        super().__init__(f"{title}: {reason}")
        self.title = title
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
        say: prints a line.
        environment: environment of the programs.
        results: results of earlier steps for later ones, by name.
        folder: the folder in which programs run and files are written.
    """

    client: Callable[[str], Any]
    say: Callable[[str], object]
    environment: Mapping[str, str] = field(default_factory=lambda: tools_path(os.environ))
    results: dict[str, str] = field(default_factory=dict)
    folder: Path = ROOT


class Step(Protocol):
    """One step of a plan; a dry run only prints `title` and `shown`."""

    @property
    def title(self) -> str:
        """What the step does."""

    def shown(self) -> Sequence[str]:
        """Return the equivalent commands."""

    def run(self, context: StepContext) -> None:
        """Carry out the step.

        Raises:
            StepFailedError: the step failed.
        """


@dataclass(frozen=True)
class Program:
    """Run a program. `{name}` in a word is replaced with the result of an earlier step."""

    title: str
    words: tuple[str, ...]
    remedy: str = ""

    def shown(self) -> list[str]:
        """Return the command line, with names in place of results that are not known yet."""
        words = [_RESULT.sub(lambda name: f"<{name[1]}>", word) for word in self.words]
        return [shlex.join(words)]

    def run(self, context: StepContext) -> None:
        """Run it; its output goes to the terminal."""
        words = [_RESULT.sub(lambda name: context.results[name[1]], word) for word in self.words]
        run_program(self.title, words, context, remedy=self.remedy)


def run_program(
    title: str,
    words: Sequence[str],
    context: StepContext,
    *,
    typed: str | None = None,
    remedy: str = "",
) -> None:
    """Run a program in the run's folder.

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
        raise StepFailedError(title, str(error), remedy) from error
    if done.returncode:
        raise StepFailedError(title, f"{words[0]} ended with exit code {done.returncode}", remedy)


@dataclass(frozen=True)
class AwsCall:
    """A call of AWS's API; an error code in `done_already` means that nothing is left to do."""

    title: str
    service: str
    operation: str
    arguments: Mapping[str, Any]
    done_already: frozenset[str] = frozenset()

    def shown(self) -> list[str]:
        """Return the call as a command line."""
        words = ["aws", self.service, self.operation.replace("_", "-")]
        return [shlex.join([*words, "--cli-input-json", json.dumps(dict(self.arguments))])]

    def run(self, context: StepContext) -> None:
        """Make the call."""
        try:
            getattr(context.client(self.service), self.operation)(**self.arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in self.done_already:
                raise StepFailedError(self.title, str(error)) from error
            context.say("      already done")


def carry_out(steps: Sequence[Step], context: StepContext, *, dry_run: bool) -> None:
    """Print each step, and carry it out unless this is a dry run.

    Raises:
        StepFailedError: a step failed; the steps after it were not begun.
    """
    for number, step in enumerate(steps, 1):
        context.say(f"[{number}/{len(steps)}] {step.title}")
        for line in step.shown():
            context.say(f"      {line}")
        if not dry_run:
            step.run(context)
