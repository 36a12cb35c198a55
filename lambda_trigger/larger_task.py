"""A task ran out of memory: its run is retried on the large task size.

The worker's observer gets the same event and sets the run to Crashed. It does so
to every run that is not scheduled, even if a later task has started it. So the
observer must act first, and this module waits for it.

The retry is scheduled some seconds ahead. Prefect changes the size only of a
scheduled run, and no worker must have fetched it by then. If the invocation ends
between the two requests, the event's next delivery changes the run if it is still
scheduled. If it started with its old size, it is killed again, and the new event
finds no `enlarged-from` tag on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import PrefectApi, RunState
from lambda_trigger.clients.transport_errors import UnavailableError
from lambda_trigger.decisions.outcomes import Ignored, Outcome, Reason, Rejected, Submitted
from lambda_trigger.decisions.run_identity import tag_of
from task_sizes import LARGE

OUT_OF_MEMORY = "exit code 137 (out of memory)"
# The conversion's container, as the task definition and Prefect's worker name it. Other containers
# of a task (an agent that the account injects) say nothing about the file.
CONTAINER = "prefect"
# Seconds until the run may start again, and seconds within which its size must be changed: a
# worker fetches the runs that start within ten seconds.
RESTART_DELAY, CHANGE_SECONDS = 30, 15
# Seconds to wait for the observer here; after that the message returns to the queue. Up to ten
# events of one invocation may have to wait.
OBSERVER_WAIT = 4
_REMEDY = (
    "set larger job_variables for its prefix in the rules document, then convert it again "
    "(docs/runbook.md, Crashed)"
)
# Of a run that makes products or reconciles.
_OTHER_REMEDY = (
    "no raw file is affected; run its deployment again with larger job variables, or products "
    "with `echodrop draw --together 1` (docs/runbook.md, Products)"
)


@dataclass(frozen=True, slots=True)
class KilledTask:
    """A conversion task that was killed, most likely because it ran out of memory."""

    task_arn: str
    flow_run_id: str


def read_event(event: Mapping[str, Any]) -> KilledTask | Ignored | Rejected:
    """Read an `ECS Task State Change` event of EventBridge.

    Only the conversion's own container counts, and only if it ended by itself:
    a task that an operator or a Spot interruption stopped may exit with 137 too.
    """
    detail = event.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    codes = [
        container.get("exitCode")
        for container in _dicts(detail.get("containers"))
        if container.get("name") == CONTAINER
    ]
    if (
        detail.get("lastStatus") != "STOPPED"
        or detail.get("stopCode") != "EssentialContainerExited"
        or 137 not in codes
    ):
        end = f"{detail.get('lastStatus')}, {detail.get('stopCode')}, exit codes {codes}"
        return Ignored(Reason.TASK_SETTLED, f"the task did not run out of memory: {end}")
    arn = str(detail.get("taskArn", ""))
    overrides = detail.get("overrides")
    for container in _dicts(
        (overrides if isinstance(overrides, dict) else {}).get("containerOverrides")
    ):
        for variable in _dicts(container.get("environment")):
            if variable.get("name") == "PREFECT__FLOW_RUN_ID" and arn:
                return KilledTask(arn, str(variable.get("value")))
    return Rejected(Reason.MALFORMED, f"a killed task without a flow run: {arn!r}")


def judge(killed: KilledTask, run: RunState) -> Outcome:
    """Decide the outcome of a killed task from its run, after the observer has acted."""
    if _has_later_task(run, killed):
        return Ignored(Reason.TASK_SETTLED, "the run has a later task")
    if run.state_type not in {"SCHEDULED", "CRASHED"}:
        return Ignored(Reason.TASK_SETTLED, f"the run is {run.state_name}")
    scheduled = run.state_type == "SCHEDULED"
    memory, size, before = run.job_variables.get("memory"), _size_of(run), _smaller_size_of(run)
    model = str(run.parameters.get("sonar_model", ""))
    if before and scheduled:
        return Submitted(Reason.ENLARGED, killed.flow_run_id, run.name, model, run.message, size)
    if not before and memory is not None and memory < LARGE.memory:
        why = f"{OUT_OF_MEMORY} on size {size}: retried on {LARGE.name}"
        return Submitted(Reason.ENLARGED, killed.flow_run_id, run.name, model, why, LARGE.name)
    if scheduled:
        return Ignored(Reason.TASK_SETTLED, f"the run is {run.state_name}")
    if memory is None:
        why = "because the run does not say how much memory its task had"
    else:
        why = f"after {before} was too small" if before else "and there is no larger size"
    converts = not run.parameters.keys().isdisjoint({"raw_file", "files"})
    return Rejected(
        Reason.OUT_OF_MEMORY,
        f"{OUT_OF_MEMORY} on size {size}, {why}: {_REMEDY if converts else _OTHER_REMEDY}",
    )


@dataclass
class LargerTask:
    """Settles a killed task."""

    runs: PrefectApi
    deadline: Deadline
    attempts: int = OBSERVER_WAIT

    def settle(self, event: Mapping[str, Any]) -> Outcome:
        """Retry the run of a killed task on the large size, once; otherwise return the reason.

        Raises:
            TransportError: Prefect did not answer, or the observer has not acted yet.
        """
        killed = read_event(event)
        if not isinstance(killed, KilledTask):
            return killed
        run = self._run_observed(killed)
        if run is None:
            return Ignored(Reason.TASK_SETTLED, f"no flow run {killed.flow_run_id}")
        outcome = judge(killed, run)
        if isinstance(outcome, Submitted) and not _smaller_size_of(run):
            self._enlarge(outcome, run)
        elif isinstance(outcome, Rejected) and outcome.detail != run.message:
            state = {"type": "CRASHED", "name": "Crashed", "message": outcome.detail}
            # Prefect rejects a change between two final states unless it is forced.
            self.runs.set_state(killed.flow_run_id, state, self.deadline, force=True)
        # A batch has no raw_file.
        name = run.parameters.get("raw_file") or run.name
        return replace(outcome, detail=f"{name}: {outcome.detail}")

    def _run_observed(self, killed: KilledTask) -> RunState | None:
        """Read the run after the worker's observer has set it to Crashed; None if it is missing."""
        while run := self.runs.run_state(killed.flow_run_id, self.deadline):
            started = run.state_type in {"RUNNING", "PENDING", "CANCELLING"}
            if not started or _has_later_task(run, killed):
                return run
            self.attempts -= 1
            if self.attempts < 0 or not self.deadline.pause(1):
                raise _retry_later(
                    f"{killed.flow_run_id} is {run.state_name}: "
                    "the worker has not reported yet that its task was killed"
                )
        return None

    def _enlarge(self, outcome: Submitted, run: RunState) -> None:
        when = datetime.now(UTC) + timedelta(seconds=RESTART_DELAY)
        state = {
            "type": "SCHEDULED",
            "name": "AwaitingRetry",
            "message": outcome.detail,
            "state_details": {"scheduled_time": when.isoformat()},
        }
        tags = [tag for tag in run.tags if not tag.startswith("tier:")]
        changes = {
            "job_variables": run.job_variables | LARGE.job_variables,
            "tags": [*tags, f"tier:{LARGE.name}", f"enlarged-from:{_size_of(run)}"],
        }
        run_id, in_time = outcome.flow_run_id, Deadline(min(CHANGE_SECONDS, self.deadline.left()))
        if not (
            self.runs.set_state(run_id, state, in_time)
            and self.runs.change_run(run_id, changes, in_time)
        ):
            raise _retry_later(f"{run_id} was changed meanwhile")


def _has_later_task(run: RunState, killed: KilledTask) -> bool:
    return bool(run.task) and not run.task.endswith(killed.task_arn)


def _size_of(run: RunState) -> str:
    memory = run.job_variables.get("memory")
    return tag_of(run.tags, "tier") or ("unknown" if memory is None else f"{memory} MiB")


def _smaller_size_of(run: RunState) -> str | None:
    """Return the size on which the run was killed before; None if it was not enlarged."""
    return tag_of(run.tags, "enlarged-from")


def _retry_later(why: str) -> UnavailableError:
    return UnavailableError("prefect", "larger task", why)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
