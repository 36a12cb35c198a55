"""Reads the tasks of flow runs from the task executor's log. A run may have only one task at a time."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_STARTED = re.compile(r"^(\S+ \S+) task (\S+) of flow run (\S*) runs as process")
_STOPPED = re.compile(r"^(\S+ \S+) task (\S+) stopped: exit code (\S+)")


@dataclass
class ExecutedTask:
    """A task's start and end. `ended` is None and `exit_code` is empty while it runs."""

    run: str
    started: datetime
    ended: datetime | None = None
    exit_code: str = ""


def executed_tasks(log: Iterable[str]) -> list[ExecutedTask]:
    """Return the tasks in the executor's log, in the order of their starts."""
    tasks: dict[str, ExecutedTask] = {}
    for line in log:
        if started := _STARTED.match(line):
            tasks[started[2]] = ExecutedTask(started[3], _time(started[1]))
        elif (stopped := _STOPPED.match(line)) and stopped[2] in tasks:
            task = tasks[stopped[2]]
            task.ended, task.exit_code = _time(stopped[1]), stopped[3]
    return list(tasks.values())


def overlapping_runs(tasks: Iterable[ExecutedTask]) -> list[str]:
    """Return the flow runs that had two tasks at the same time."""
    doubled = set()
    last: dict[str, ExecutedTask] = {}
    for task in sorted(tasks, key=lambda task: task.started):
        before = last.get(task.run)
        if before is not None and (before.ended is None or before.ended > task.started):
            doubled.add(task.run)
        last[task.run] = task
    return sorted(doubled)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007 - times of one clock are only compared with each other
