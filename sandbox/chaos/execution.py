"""Drops the cargo and lets the faults strike, each at its time; parts come back as they would in AWS."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from events.notifications import ENVELOPES, NotifiedObject
from flows.publication import CLAIM_SUFFIX
from sandbox import ecs_worker, postgresql, prefect_server
from sandbox.chaos.cargo import Cargo, Upload
from sandbox.chaos.plan import Fault, Plan, Strike
from sandbox.supervisor import Supervisor
from sandbox.system import TRIGGER, Sandbox

_TICK_SECONDS = 0.2
# A fault that finds nothing to strike waits for it so long, then is let go.
_PATIENCE_SECONDS = 60.0
# How the names of the parts begin that a fault kills one of.
_PARTS = {
    Strike.TRIGGER: TRIGGER,
    Strike.WORKER: ecs_worker.NAME,
    Strike.PREFECT: prefect_server.NAME,
    Strike.DATABASE: postgresql.NAME,
}


@dataclass
class Chaos:
    """One execution of a plan on a running sandbox.

    Attributes:
        struck: how often each fault found what it strikes.
        untold: keys that were dropped while the rule of uploads was off.
    """

    sandbox: Sandbox
    plan: Plan
    cargo: Cargo
    say: Callable[[str], object] = lambda _: None
    struck: Counter[Strike] = field(default_factory=Counter)
    untold: list[str] = field(default_factory=list)
    _off: dict[str, float] = field(default_factory=dict)
    _outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.sandbox.parts)
        self._s3 = self.sandbox.client("s3")
        self._ecs = self.sandbox.client("ecs")
        self._events = self.sandbox.client("events")
        self._sqs = self.sandbox.client("sqs")

    def run(self) -> None:
        """Drop all and strike all; returns when the last fault is over and every part serves again.

        Raises:
            TimeoutError: a part does not come back.
        """
        begin = time.monotonic()
        drops = list(zip(self.plan.drops, self.cargo.uploads, strict=True))
        faults = list(self.plan.faults)
        waiting: list[Fault] = []
        while drops or faults or waiting or self._off:
            now = time.monotonic() - begin
            while drops and drops[0][0] <= now:
                self._drop(drops.pop(0)[1])
            while faults and faults[0].at <= now:
                waiting.append(faults.pop(0))
            waiting = [
                fault
                for fault in waiting
                if now - fault.at < _PATIENCE_SECONDS and not self._strikes(fault, now)
            ]
            for rule in [rule for rule, until in self._off.items() if until <= now]:
                self._events.enable_rule(Name=rule)
                del self._off[rule]
            self.supervisor.look()
            time.sleep(_TICK_SECONDS)
        self.supervisor.bring_back(within=180)

    def _drop(self, upload: Upload) -> None:
        bucket = self.sandbox.names.inbox_bucket
        stored = self._s3.put_object(
            Bucket=bucket, Key=upload.key, Body=upload.content, Metadata=dict(upload.metadata)
        )
        if self.sandbox.names.uploads_rule in self._off:
            self.untold.append(upload.key)
            return
        if upload.key in self.cargo.told_again:
            etag = stored["ETag"].strip('"')
            item = NotifiedObject(bucket, upload.key, len(upload.content), etag)
            queue = self._sqs.get_queue_url(QueueName=self.sandbox.names.notifications_queue)
            for envelope in ("eventbridge", "sns-s3"):
                self._sqs.send_message(
                    QueueUrl=queue["QueueUrl"], MessageBody=ENVELOPES[envelope](item)
                )

    def _strikes(self, fault: Fault, now: float) -> bool:
        """Let a fault strike; whether there was anything to be struck."""
        struck = self._strike(fault, now)
        if struck:
            self.struck[fault.strike] += 1
            self.say(f"{now:6.1f} s  {fault.strike}: {struck}")
        return bool(struck)

    def _strike(self, fault: Fault, now: float) -> str:
        if fault.strike in _PARTS:
            return self._kill(fault)
        if fault.strike in {Strike.UPLOADS_UNTOLD, Strike.TASK_ENDS_UNTOLD}:
            return self._switch_off(fault, now + fault.seconds)
        if fault.strike is Strike.STOPPED_TASK:
            return self._stop_a_task(fault)
        return self._kill_task(fault)

    def _kill(self, fault: Fault) -> str:
        parts = self.sandbox.parts
        living = sorted(
            name
            for name, part in parts.items()
            if name.startswith(_PARTS[fault.strike]) and part.is_running
        )
        if not living:
            return ""
        name = _picked(living, fault)
        self.supervisor.kill(name, fault.seconds)
        return f"{name}, for {fault.seconds:.1f} s"

    def _switch_off(self, fault: Fault, until: float) -> str:
        names = self.sandbox.names
        of_uploads = fault.strike is Strike.UPLOADS_UNTOLD
        rule = names.uploads_rule if of_uploads else names.task_events_rule
        self._events.disable_rule(Name=rule)
        self._off[rule] = max(until, self._off.get(rule, 0.0))
        return f"{rule}, until {self._off[rule]:.1f} s"

    def _stop_a_task(self, fault: Fault) -> str:
        cluster = self.sandbox.names.cluster
        arns = self._ecs.list_tasks(cluster=cluster, desiredStatus="RUNNING")["taskArns"]
        if not arns:
            return ""
        arn = _picked(sorted(arns), fault)
        self._ecs.stop_task(cluster=cluster, task=arn, reason="chaos")
        return str(arn).rpartition("/")[2]

    def _kill_task(self, fault: Fault) -> str:
        """SIGKILL the processes of a run's task: all of it, or those that its first one started."""
        tasks = self._tasks()
        if fault.strike is Strike.ENGINE:
            tasks = {run: _children(processes) for run, processes in tasks.items()}
        runs = sorted(run for run, processes in tasks.items() if processes)
        if fault.strike is Strike.PUBLISHING_TASK:
            runs = [run for run in runs if self._publishes(run)]
        if not runs:
            return ""
        run = _picked(runs, fault)
        for process in tasks[run]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return f"of flow run {run}"

    def _tasks(self) -> dict[str, list[psutil.Process]]:
        """The living processes of each flow run's task."""
        found: dict[str, list[psutil.Process]] = {}
        for process in self.sandbox.processes():
            try:
                run = process.environ().get("PREFECT__FLOW_RUN_ID")
            except psutil.Error:
                continue
            if run:
                found.setdefault(run, []).append(process)
        return found

    def _publishes(self, run: str) -> bool:
        """Whether a flow run holds the claim on its output."""
        bucket = self.sandbox.names.output_bucket
        try:
            if run not in self._outputs:
                path = str(self.sandbox.api.flow_run(run).parameters["output_path"])
                self._outputs[run] = path.removeprefix(f"s3://{bucket}/")
            claim = self._s3.get_object(Bucket=bucket, Key=self._outputs[run] + CLAIM_SUFFIX)
        except (self._s3.exceptions.NoSuchKey, OSError):
            # No claim; or Prefect is down itself.
            return False
        told = json.loads(claim["Body"].read())
        # Without a lease it is only what a run that failed has left for the next.
        return told["lease_seconds"] > 0 and str(told["owner"]).endswith(run)


def _picked(among: Sequence[str], fault: Fault) -> str:
    return among[int(fault.pick * len(among))]


def _children(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that another of them started."""
    there = {process.pid for process in processes}
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.ppid() in there:
                found.append(process)
    return found
