"""Runs the tasks of moto's ECS as processes.

moto stores tasks but does not run them. This loop finds new tasks and runs their
command with their environment. It sends an `ECS Task State Change` event for each
state change; the last one has the exit code, 137 after SIGKILL.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psutil
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.aws.ecs_tasks import (
    DETAIL_TYPE,
    STARTING_STATES,
    STOPPING_STATES,
    NoCommand,
    SecretUnreadable,
    change_detail,
    container_override,
    environment_of,
    exit_code,
    stopped_detail,
)
from sandbox.parts.environments import aws_environment, container_environment
from sandbox.parts.orphans import MARK
from sandbox.parts.signals import ended_by_signals

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

log = logging.getLogger("sandbox.aws.task_executor")

# ECS's stopTimeout: the time from SIGTERM to SIGKILL.
_STOP_TIMEOUT = 30.0
_DESCRIBE_LIMIT = 100
_POLL_SECONDS = 0.2
# From SIGTERM to SIGKILL when the executor itself stops.
_GRACE_SECONDS = 3.0


@dataclass
class _Running:
    described: Mapping[str, Any]
    process: "subprocess.Popen[bytes]"
    folder: Path
    asked_to_stop_at: float | None = None


class TaskExecutor:
    """Runs the tasks of one cluster, `parallelism` at a time."""

    def __init__(self, cluster: str, parallelism: int, folder: Path, logs: Path) -> None:
        self._cluster, self._parallelism = cluster, parallelism
        self._folder, self._logs = folder, logs
        self._ecs, self._events = boto3.client("ecs"), boto3.client("events")
        self._secrets = boto3.client("secretsmanager")
        self._seen: set[str] = set()
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._running: dict[str, _Running] = {}

    def step(self) -> None:
        """Report ended tasks, stop tasks that ECS stops, and start waiting tasks."""
        self._report_ended()
        wanted = self._wanted()
        self._find_new(wanted)
        self._stop_unwanted(set(wanted))
        while self._waiting and len(self._running) < self._parallelism:
            self._start(self._waiting.popleft())

    def stop_all(self, grace_seconds: float) -> None:
        """End all tasks' processes without events, because the cluster is removed."""
        for running in self._running.values():
            _signal_group(running.process, signal.SIGTERM)
        end = time.monotonic() + grace_seconds
        for running in self._running.values():
            try:
                running.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("process %s did not stop in time", running.process.pid)
            _signal_group(running.process, signal.SIGKILL)

    def _wanted(self) -> list[str]:
        pages = self._ecs.get_paginator("list_tasks").paginate(
            cluster=self._cluster, desiredStatus="RUNNING"
        )
        return [arn for page in pages for arn in page["taskArns"]]

    def _find_new(self, wanted: list[str]) -> None:
        new = [arn for arn in wanted if arn not in self._seen]
        for start in range(0, len(new), _DESCRIBE_LIMIT):
            some = new[start : start + _DESCRIBE_LIMIT]
            answer = self._ecs.describe_tasks(cluster=self._cluster, tasks=some, include=["TAGS"])
            for described in answer["tasks"]:
                self._seen.add(described["taskArn"])
                self._put_events(*(change_detail(described, status) for status in STARTING_STATES))
                self._waiting.append(described)

    def _stop_unwanted(self, wanted: set[str]) -> None:
        for described in [each for each in self._waiting if each["taskArn"] not in wanted]:
            self._waiting.remove(described)
            self._report_stopped(described, None, asked=True, reason="stopped before it started")
        for arn, running in self._running.items():
            if arn in wanted:
                continue
            if running.asked_to_stop_at is None:
                running.asked_to_stop_at = time.monotonic()
                running.process.terminate()
            elif time.monotonic() - running.asked_to_stop_at > _STOP_TIMEOUT:
                _signal_group(running.process, signal.SIGKILL)

    def _start(self, described: Mapping[str, Any]) -> None:
        arn = str(described["taskArn"])
        task_id = arn.rpartition("/")[2]
        # As on Fargate, a task has its own files, which are deleted with it.
        folder = self._folder / task_id
        folder.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            command, given = container_override(described)
            environment = {
                **container_environment(),
                # Fargate sets the region and the role's credentials.
                **aws_environment(os.environ["AWS_ENDPOINT_URL"]),
                **environment_of(described["taskDefinitionArn"], self._ecs, self._secrets),
                **given,
                "TMPDIR": str(folder),
                MARK: os.environ.get(MARK, ""),
            }
            with (self._logs / f"{task_id}.log").open("ab") as output:
                process = subprocess.Popen(  # noqa: S603 - runs the command that RunTask requested
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except (OSError, NoCommand, SecretUnreadable) as problem:
            reason = f"cannot start: {problem}"
            self._report_stopped(described, None, asked=False, reason=reason)
            return
        run = given.get("PREFECT__FLOW_RUN_ID", "")
        log.info("task %s of flow run %s runs as process %s", arn, run, process.pid)
        self._running[arn] = _Running(described, process, folder)
        self._put_events(change_detail(described, "RUNNING"))

    def _report_ended(self) -> None:
        for arn, running in list(self._running.items()):
            code = running.process.poll()
            if code is None:
                continue
            _end_container(running.folder)
            asked = running.asked_to_stop_at is not None
            self._report_stopped(running.described, exit_code(code), asked=asked)
            shutil.rmtree(running.folder, ignore_errors=True)
            del self._running[arn]

    def _report_stopped(
        self, described: Mapping[str, Any], code: int | None, *, asked: bool, reason: str = ""
    ) -> None:
        detail = stopped_detail(described, code, asked_to_stop=asked, reason=reason)
        log.info("task %s stopped: exit code %s %s", described["taskArn"], code, reason)
        self._ecs.stop_task(
            cluster=self._cluster, task=described["taskArn"], reason=detail["stoppedReason"]
        )
        self._put_events(*(change_detail(described, status) for status in STOPPING_STATES), detail)

    def _put_events(self, *details: dict[str, Any]) -> None:
        entries: list[PutEventsRequestEntryTypeDef] = [
            {
                "Source": "aws.ecs",
                "DetailType": DETAIL_TYPE,
                "Detail": json.dumps(detail),
                "Resources": [detail["taskArn"]],
            }
            for detail in details
        ]
        self._events.put_events(Entries=entries)


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_container(folder: Path) -> None:
    """Kill the task's remaining processes: a container ends with its first process.

    The flow's process is in its own session, so processes are found by their TMPDIR.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("TMPDIR") == str(folder):
                process.kill()


def main() -> None:
    """Run the executor until SIGTERM (`python -m sandbox.aws.task_executor ...`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--parallelism", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, required=True, help="parent of the tasks' folders")
    parser.add_argument("--logs", type=Path, required=True, help="folder for the tasks' output")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    cluster, parallelism = arguments.cluster, arguments.parallelism
    executor = TaskExecutor(cluster, parallelism, arguments.folder, arguments.logs)
    log.info("running up to %s tasks of cluster %s", parallelism, cluster)
    with ended_by_signals():
        try:
            while True:
                try:
                    executor.step()
                except (BotoCoreError, ClientError) as problem:
                    log.warning("AWS does not answer: %s", problem)
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            executor.stop_all(_GRACE_SECONDS)


if __name__ == "__main__":
    main()
