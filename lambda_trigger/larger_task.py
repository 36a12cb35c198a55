"""A task killed for its memory: the same run once more, on the large size of task.

The worker's observer learns of the same event and calls the run crashed. It
does so to any run that is not waiting, a later task's too, and must therefore
be first: until it has been, nothing is done here.

The run is put off for some seconds, because Prefect changes the size of a run that
waits and of no other, and no worker may have fetched it by then. If this stops
in between, the event's next delivery changes a run that still waits; one that began
as it was is killed again, and its own event finds it without the tag that marks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lambda_trigger.clock import Deadline
from lambda_trigger.flow_runs import RunState
from lambda_trigger.outcomes import Ignored, Outcome, Reason, Rejected, Submitted
from lambda_trigger.run_identity import tag_of
from lambda_trigger.services import KnownRuns
from lambda_trigger.transport_errors import UnavailableError
from task_sizes import LARGE

OUT_OF_MEMORY = "exit code 137 (out of memory)"
# The container of the conversion, as the task definition has it and Prefect's worker asks for it.
# What else runs in a task (an agent that the account injects) says nothing of the file.
CONTAINER = "prefect"
# Seconds until the run may start again, and how many of them the change of its size may take: a
# worker fetches what is to start within ten seconds.
PUT_OFF, TIME_TO_CHANGE = 30, 15
# How long to wait here for the observer, seconds; after that the queue does. Ten
# events of one invocation may all have to.
PATIENCE = 4


@dataclass(frozen=True, slots=True)
class Killed:
    """A task of ours that was killed, most likely for its memory."""

    task_arn: str
    flow_run_id: str


def read_event(event: Mapping[str, Any]) -> Killed | Ignored | Rejected:
    """Read an `ECS Task State Change` event of EventBridge.

    Only the conversion's own container is asked, and only one that ended by itself:
    a task that was told to stop, by an operator or for its Spot capacity, may end
    with 137 too.
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
        told = f"{detail.get('lastStatus')}, {detail.get('stopCode')}, exit codes {codes}"
        return Ignored(Reason.TASK_SETTLED, f"no task killed for its memory: {told}")
    arn = str(detail.get("taskArn", ""))
    overrides = detail.get("overrides")
    for container in _dicts(
        (overrides if isinstance(overrides, dict) else {}).get("containerOverrides")
    ):
        for variable in _dicts(container.get("environment")):
            if variable.get("name") == "PREFECT__FLOW_RUN_ID" and arn:
                return Killed(arn, str(variable.get("value")))
    return Rejected(Reason.MALFORMED, f"a killed task that names no flow run: {arn!r}")


def judge(killed: Killed, run: RunState) -> Outcome:
    """Say what a killed task's run comes to, given what Prefect says of it once the observer has been."""
    if _has_later_task(run, killed):
        return Ignored(Reason.TASK_SETTLED, "the run has a later task")
    if run.state_type not in {"SCHEDULED", "CRASHED"}:
        return Ignored(Reason.TASK_SETTLED, f"the run is {run.state_name}")
    waits = run.state_type == "SCHEDULED"
    memory, size, before = run.job_variables.get("memory"), _size_of(run), _smaller_size_of(run)
    model = str(run.parameters.get("sonar_model", ""))
    if before and waits:
        return Submitted(Reason.ENLARGED, killed.flow_run_id, run.name, model, run.message, size)
    if not before and memory is not None and memory < LARGE.memory:
        why = f"{OUT_OF_MEMORY} on size {size}: once more on {LARGE.name}"
        return Submitted(Reason.ENLARGED, killed.flow_run_id, run.name, model, why, LARGE.name)
    if waits:
        return Ignored(Reason.TASK_SETTLED, f"the run is {run.state_name}")
    why = f"and {before} was too small before" if before else "and there is no larger one"
    return Rejected(
        Reason.OUT_OF_MEMORY,
        f"{OUT_OF_MEMORY} on size {size}, {why}: give its prefix a larger task by job_variables "
        "in the rules document, then have it converted anew (docs/runbook.md, Crashed)",
    )


@dataclass
class LargerTask:
    """Settles a task that was killed."""

    runs: KnownRuns
    deadline: Deadline
    patience: int = PATIENCE

    def settle(self, event: Mapping[str, Any]) -> Outcome:
        """Give the run of a killed task the large size, once; else say why it gets none.

        Raises:
            TransportError: Prefect did not answer, or the observer has not been.
        """
        killed = read_event(event)
        if not isinstance(killed, Killed):
            return killed
        run = self._run_observed(killed)
        if run is None:
            return Ignored(Reason.TASK_SETTLED, f"no flow run {killed.flow_run_id}")
        outcome = judge(killed, run)
        if isinstance(outcome, Submitted) and not _smaller_size_of(run):
            self._enlarge(outcome, run)
        elif isinstance(outcome, Rejected) and outcome.detail != run.message:
            state = {"type": "CRASHED", "name": "Crashed", "message": outcome.detail}
            # Prefect lets no run go from one end to another, but for who insists.
            self.runs.set_state(killed.flow_run_id, state, self.deadline, force=True)
        # One file, or a batch's own name.
        what = run.parameters.get("raw_file") or run.name
        return replace(outcome, detail=f"{what}: {outcome.detail}")

    def _run_observed(self, killed: Killed) -> RunState | None:
        """Read the run, and wait until the worker's observer has called it crashed; None where there is none."""
        while run := self.runs.run_state(killed.flow_run_id, self.deadline):
            begun = run.state_type in {"RUNNING", "PENDING", "CANCELLING"}
            if not begun or _has_later_task(run, killed):
                return run
            self.patience -= 1
            if self.patience < 0 or not self.deadline.pause(1):
                told = f"{run.state_name}: the worker has not told yet that its task was killed"
                raise _again(f"{killed.flow_run_id} is {told}")
        return None

    def _enlarge(self, outcome: Submitted, run: RunState) -> None:
        when = datetime.now(UTC) + timedelta(seconds=PUT_OFF)
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
        run_id, in_time = outcome.flow_run_id, Deadline(min(TIME_TO_CHANGE, self.deadline.left()))
        if not (
            self.runs.set_state(run_id, state, in_time)
            and self.runs.change_run(run_id, changes, in_time)
        ):
            raise _again(f"{run_id} is changed by somebody else")


def _has_later_task(run: RunState, killed: Killed) -> bool:
    return bool(run.task) and not run.task.endswith(killed.task_arn)


def _size_of(run: RunState) -> str:
    return tag_of(run.tags, "tier") or f"{run.job_variables.get('memory')} MiB"


def _smaller_size_of(run: RunState) -> str | None:
    """The size on which it was killed before: the mark that it was enlarged."""
    return tag_of(run.tags, "enlarged-from")


def _again(why: str) -> UnavailableError:
    return UnavailableError("prefect", "larger task", why)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
