"""A step of a plan: what it is for, what a person would type for it, and doing it."""

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
    """A step did not succeed: which, why, and what to do before the command is given again."""

    def __init__(self, title: str, reason: str, remedy: str = "") -> None:
        super().__init__(f"{title}: {reason}")
        self.title = title
        self.reason = reason
        self.remedy = remedy


def tools_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the project's own `sam` and `echodrop` before any other."""
    own = [ROOT / ".venv" / "tools" / "bin", Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, own), environment.get("PATH", os.defpath)])
    return {**environment, "PATH": path}


@dataclass
class Running:
    """What the steps of one run share.

    Attributes:
        client: returns a boto3 client of the service named.
        say: takes each line for people.
        environment: of the programs that are run.
        results: what a step found out for those after it, by name.
        folder: where programs run, and what they write is kept.
    """

    client: Callable[[str], Any]
    say: Callable[[str], object]
    environment: Mapping[str, str] = field(default_factory=lambda: tools_path(os.environ))
    results: dict[str, str] = field(default_factory=dict)
    folder: Path = ROOT


class Step(Protocol):
    """One thing to do; a dry run prints `title` and `shown` and does nothing."""

    @property
    def title(self) -> str:
        """What it does, as a person would say it."""

    def shown(self) -> Sequence[str]:
        """Return what a person would type for it."""

    def run(self, running: Running) -> None:
        """Do it.

        Raises:
            StepFailedError: it did not succeed.
        """


@dataclass(frozen=True)
class Program:
    """Run a program. `{name}` in a word stands for a result of a step before it."""

    title: str
    words: tuple[str, ...]
    remedy: str = ""

    def shown(self) -> list[str]:
        """Return the command line, results that are not known yet by their names."""
        words = [_RESULT.sub(lambda name: f"<{name[1]}>", word) for word in self.words]
        return [shlex.join(words)]

    def run(self, running: Running) -> None:
        """Run it; what it prints goes to the terminal."""
        words = [_RESULT.sub(lambda name: running.results[name[1]], word) for word in self.words]
        run_program(self.title, words, running, remedy=self.remedy)


def run_program(
    title: str,
    words: Sequence[str],
    running: Running,
    *,
    typed: str | None = None,
    remedy: str = "",
) -> None:
    """Run a program in the run's folder.

    Raises:
        StepFailedError: it is not there, or ended with another code than 0.
    """
    try:
        done = subprocess.run(
            list(words),
            cwd=running.folder,
            env=dict(running.environment),
            input=typed,
            text=True,
            check=False,
        )
    except OSError as error:
        raise StepFailedError(title, str(error), remedy) from error
    if done.returncode:
        raise StepFailedError(title, f"{words[0]} ended with {done.returncode}", remedy)


@dataclass(frozen=True)
class AwsCall:
    """One call of AWS's API; an error code in `done_already` says that nothing is left to do."""

    title: str
    service: str
    operation: str
    arguments: Mapping[str, Any]
    done_already: frozenset[str] = frozenset()

    def shown(self) -> list[str]:
        """Return the call as AWS's own command line takes it."""
        words = ["aws", self.service, self.operation.replace("_", "-")]
        return [shlex.join([*words, "--cli-input-json", json.dumps(dict(self.arguments))])]

    def run(self, running: Running) -> None:
        """Call it."""
        try:
            getattr(running.client(self.service), self.operation)(**self.arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in self.done_already:
                raise StepFailedError(self.title, str(error)) from error
            running.say("      it is so already")


def carry_out(steps: Sequence[Step], running: Running, *, dry_run: bool) -> None:
    """Print each step, and do it unless this is a dry run.

    Raises:
        StepFailedError: of the step that failed; none after it was begun.
    """
    for number, step in enumerate(steps, 1):
        running.say(f"[{number}/{len(steps)}] {step.title}")
        for line in step.shown():
            running.say(f"      {line}")
        if not dry_run:
            step.run(running)
