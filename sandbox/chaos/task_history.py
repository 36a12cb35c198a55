"""Reads the tasks of flow runs from the task executor's log. A run may have only one task at a time."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_STARTED = re.compile(r"^(\S+ \S+) task (\S+) of flow run (\S*) runs as process")
_STOPPED = re.compile(r"^(\S+ \S+) task (\S+) stopped: exit code (\S+)")


@dataclass
class TaskLife:
    """A task's start and end. `ended` is None and `exit_code` is empty while it runs."""

    run: str
    started: datetime
    ended: datetime | None = None
    exit_code: str = ""


def task_lives(log: Iterable[str]) -> list[TaskLife]:
    """Return the tasks in the executor's log, in the order of their starts."""
    lives: dict[str, TaskLife] = {}
    for line in log:
        if started := _STARTED.match(line):
            lives[started[2]] = TaskLife(started[3], _time(started[1]))
        elif (stopped := _STOPPED.match(line)) and stopped[2] in lives:
            life = lives[stopped[2]]
            life.ended, life.exit_code = _time(stopped[1]), stopped[3]
    return list(lives.values())


def overlapping(lives: Iterable[TaskLife]) -> list[str]:
    """Return the flow runs that had two tasks at the same time."""
    doubled = set()
    last: dict[str, TaskLife] = {}
    for life in sorted(lives, key=lambda life: life.started):
        before = last.get(life.run)
        if before is not None and (before.ended is None or before.ended > life.started):
            doubled.add(life.run)
        last[life.run] = life
    return sorted(doubled)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007 - times of one clock are only compared with each other
