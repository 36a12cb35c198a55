"""How to run a module of this project in a process of its own, from the code that runs here.

`python -m` alone puts the current folder first on the path, and files there can replace
modules of Python and of this project.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def command_of(module: str) -> tuple[str, ...]:
    """The command that runs a module, without the current folder on its path."""
    return (sys.executable, "-P", "-m", module)


def environment_for(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which the command finds this project; empty entries of the path go."""
    path = [str(_ROOT), *environment.get("PYTHONPATH", "").split(os.pathsep)]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, path))}
