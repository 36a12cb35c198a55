"""Uploads the files and injects the faults at their times; parts are restarted as in AWS."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from events.notifications import NotifiedObject
from flows.core.locations import CLAIM_SUFFIX
from sandbox.parts import postgresql
from sandbox.parts.part_set import Supervisor
from sandbox.parts.processes import PartDied
from sandbox.prefect import prefect_server
from sandbox.start import ECS_WORKER
from sandbox.system import TRIGGER, Sandbox
from tests.chaos.files import ChaosFiles, FileUpload
from tests.chaos.plan import FaultKind, FaultPlan, PlannedFault
from tests.envelopes import ENVELOPES
from tests.task_processes import processes_by_run

_TICK_SECONDS = 0.2
# A fault without a target waits this long for one, then is skipped.
_TARGET_TIMEOUT = 60.0
# Prefix of the names of the parts that a fault kills.
_PARTS = {
    FaultKind.TRIGGER: TRIGGER,
    FaultKind.WORKER: ECS_WORKER,
    FaultKind.PREFECT: prefect_server.NAME,
    FaultKind.DATABASE: postgresql.NAME,
}


class ChaosSupervisor(Supervisor):
    """A supervisor of parts that are killed."""

    def kill(self, name: str, down_seconds: float) -> None:
        """Send SIGKILL to a part's processes; it stays down for at least `down_seconds`."""
        self._parts[name].kill()
        back = time.monotonic() + down_seconds
        self._down_until[name] = max(back, self._down_until.get(name, 0.0))

    def restart_all(self, *, within: float) -> None:
        """Restart all parts that are down and wait until each part is ready.

        Raises:
            TimeoutError: a part is not ready, even after restarts.
        """
        self._down_until = dict.fromkeys(self._down_until, 0.0)
        end = time.monotonic() + within
        waiting = dict(self._parts.items())
        while waiting:
            self.step()
            for name, part in list(waiting.items()):
                # A part that exits again is restarted.
                with contextlib.suppress(PartDied):
                    if part.is_running and part.poll_ready():
                        del waiting[name]
            if time.monotonic() > end:
                raise TimeoutError(f"{', '.join(waiting)} not ready after {within:.0f} s")
            time.sleep(0.1)


@dataclass
class PlanExecution:
    """Executes a plan on a running sandbox.

    Attributes:
        injected: how often each kind of fault was injected.
        unnotified: keys that were uploaded while the upload rule was disabled.
    """

    sandbox: Sandbox
    plan: FaultPlan
    files: ChaosFiles
    log: Callable[[str], object] = lambda _: None
    injected: Counter[FaultKind] = field(default_factory=Counter)
    unnotified: list[str] = field(default_factory=list)
    _disabled: dict[str, float] = field(default_factory=dict)
    _outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.supervisor = ChaosSupervisor(self.sandbox.parts)
        self._s3 = self.sandbox.client("s3")
        self._ecs = self.sandbox.client("ecs")
        self._events = self.sandbox.client("events")
        self._sqs = self.sandbox.client("sqs")

    def run(self) -> None:
        """Upload all files and inject all faults, then wait until every part is ready.

        Raises:
            TimeoutError: a part is not ready.
        """
        begin = time.monotonic()
        uploads = list(zip(self.plan.uploads, self.files.uploads, strict=True))
        faults = list(self.plan.faults)
        waiting: list[PlannedFault] = []
        while uploads or faults or waiting or self._disabled:
            now = time.monotonic() - begin
            while uploads and uploads[0][0] <= now:
                self._upload(uploads.pop(0)[1])
            while faults and faults[0].at <= now:
                waiting.append(faults.pop(0))
            waiting = [
                fault
                for fault in waiting
                if now - fault.at < _TARGET_TIMEOUT and not self._inject(fault, now)
            ]
            for rule in [rule for rule, until in self._disabled.items() if until <= now]:
                self._events.enable_rule(Name=rule)
                del self._disabled[rule]
            self.supervisor.step()
            time.sleep(_TICK_SECONDS)
        self.supervisor.restart_all(within=180)

    def _upload(self, upload: FileUpload) -> None:
        bucket = self.sandbox.names.inbox_bucket
        stored = self._s3.put_object(
            Bucket=bucket, Key=upload.key, Body=upload.content, Metadata=dict(upload.metadata)
        )
        if self.sandbox.names.uploads_rule in self._disabled:
            self.unnotified.append(upload.key)
            return
        if upload.key in self.files.notified_again:
            etag = stored["ETag"].strip('"')
            item = NotifiedObject(bucket, upload.key, len(upload.content), etag)
            queue = self._sqs.get_queue_url(QueueName=self.sandbox.names.notifications_queue)
            for envelope in ("eventbridge", "sns-s3"):
                self._sqs.send_message(
                    QueueUrl=queue["QueueUrl"], MessageBody=ENVELOPES[envelope](item)
                )

    def _inject(self, fault: PlannedFault, now: float) -> bool:
        """Inject a fault and return whether it had a target."""
        target = self._apply(fault, now)
        if target:
            self.injected[fault.kind] += 1
            self.log(f"{now:6.1f} s  {fault.kind}: {target}")
        return bool(target)

    def _apply(self, fault: PlannedFault, now: float) -> str:
        if fault.kind in _PARTS:
            return self._kill(fault)
        if fault.kind in {FaultKind.UPLOAD_RULE_OFF, FaultKind.TASK_RULE_OFF}:
            return self._disable_rule(fault, now + fault.seconds)
        if fault.kind is FaultKind.STOPPED_TASK:
            return self._stop_a_task(fault)
        return self._kill_task(fault)

    def _kill(self, fault: PlannedFault) -> str:
        parts = self.sandbox.parts
        running = sorted(
            name
            for name, part in parts.items()
            if name.startswith(_PARTS[fault.kind]) and part.is_running
        )
        if not running:
            return ""
        name = _picked(running, fault)
        self.supervisor.kill(name, fault.seconds)
        return f"{name}, for {fault.seconds:.1f} s"

    def _disable_rule(self, fault: PlannedFault, until: float) -> str:
        names = self.sandbox.names
        of_uploads = fault.kind is FaultKind.UPLOAD_RULE_OFF
        rule = names.uploads_rule if of_uploads else names.task_events_rule
        self._events.disable_rule(Name=rule)
        self._disabled[rule] = max(until, self._disabled.get(rule, 0.0))
        return f"{rule}, until {self._disabled[rule]:.1f} s"

    def _stop_a_task(self, fault: PlannedFault) -> str:
        cluster = self.sandbox.names.cluster
        arns = self._ecs.list_tasks(cluster=cluster, desiredStatus="RUNNING")["taskArns"]
        if not arns:
            return ""
        arn = _picked(sorted(arns), fault)
        self._ecs.stop_task(cluster=cluster, task=arn, reason="chaos")
        return str(arn).rpartition("/")[2]

    def _kill_task(self, fault: PlannedFault) -> str:
        """Send SIGKILL to all processes of a run's task, or only to the flow's process."""
        tasks = processes_by_run(self.sandbox)
        if fault.kind is FaultKind.ENGINE:
            tasks = {run: _children(processes) for run, processes in tasks.items()}
        runs = sorted(run for run, processes in tasks.items() if processes)
        if fault.kind is FaultKind.PUBLISHING_TASK:
            runs = [run for run in runs if self._publishes(run)]
        if not runs:
            return ""
        run = _picked(runs, fault)
        for process in tasks[run]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return f"of flow run {run}"

    def _publishes(self, run: str) -> bool:
        """Return whether a flow run holds the claim on its output."""
        bucket = self.sandbox.names.output_bucket
        try:
            if run not in self._outputs:
                path = str(self.sandbox.api.flow_run(run).parameters["output_path"])
                self._outputs[run] = path.removeprefix(f"s3://{bucket}/")
            claim = self._s3.get_object(Bucket=bucket, Key=self._outputs[run] + CLAIM_SUFFIX)
        except (self._s3.exceptions.NoSuchKey, OSError):
            # There is no claim, or Prefect is down.
            return False
        content = json.loads(claim["Body"].read())
        # A claim without a lease is left over from a failed run.
        return content["lease_seconds"] > 0 and str(content["owner"]).endswith(run)


def _picked(among: Sequence[str], fault: PlannedFault) -> str:
    return among[int(fault.pick * len(among))]


def _children(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that another of them started."""
    pids = {process.pid for process in processes}
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.ppid() in pids:
                found.append(process)
    return found
