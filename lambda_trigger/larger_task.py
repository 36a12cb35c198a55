"""A task killed for its memory: the same run once more, on the next size of task.

What Prefect says of the run decides on the next step, and every step changes
what it says. So whatever stops this half-way, the event's next delivery goes on
where it ended, and one that comes late finds nothing to do.

The worker's observer learns of the same event and calls the run crashed. It
does so to any run that is not waiting, a later task's too, and must therefore
be first: until it has been, nothing is done here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lambda_trigger.clock import Deadline
from lambda_trigger.flow_runs import RunState
from lambda_trigger.outcomes import Ignored, Outcome, Reason, Rejected, Submitted
from lambda_trigger.run_identity import tag_of
from lambda_trigger.services import KnownRuns
from lambda_trigger.size_tiers import Tier, larger_tier
from lambda_trigger.transport_errors import UnavailableError

OUT_OF_MEMORY = "exit code 137 (out of memory)"
# The container of the conversion, as the task definition has it and Prefect's worker asks for it.
# What else runs in a task (an agent that the account injects) says nothing of the file.
CONTAINER = "prefect"
# The state in which the run gets its new size: no worker fetches it, and the
# event comes again (queue's visibility) before it would be fetched as it was.
HELD = "AwaitingLargerTask"
HELD_FOR = timedelta(minutes=15)
# How long to wait here for the observer, seconds; after that the queue does. Ten
# events of one invocation may all have to.
PATIENCE = 4
# Of steps; more means that somebody else changes the run all the time.
AT_MOST = 8


@dataclass(frozen=True, slots=True)
class Killed:
    """A task of ours that was killed, most likely for its memory."""

    task_arn: str
    flow_run_id: str


@dataclass(frozen=True, slots=True)
class ProposeState:
    """A state for the run, as Prefect's API takes it."""

    state: dict[str, Any]
    force: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What is to change of the run before its next task."""

    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AwaitObserver:
    """Nothing, until the worker has called the run crashed. `state` is what it is called now."""

    state: str


Step = ProposeState | Change | AwaitObserver | Outcome


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


def next_step(killed: Killed, run: RunState, tiers: Sequence[Tier], now: datetime) -> Step:
    """Say what is to be done about a killed task's run, given what Prefect says of it."""
    if run.task and not run.task.endswith(killed.task_arn):
        return Ignored(Reason.TASK_SETTLED, "the run has a later task")
    if run.state_type in {"RUNNING", "PENDING", "CANCELLING"}:
        return AwaitObserver(run.state_name)
    if run.state_type not in {"SCHEDULED", "CRASHED"}:
        return Ignored(Reason.TASK_SETTLED, f"the run is {run.state_name}")
    memory = run.job_variables.get("memory")
    size, before = tag_of(run.tags, "tier") or f"{memory} MiB", tag_of(run.tags, "enlarged-from")
    larger = None if before else larger_tier(tiers, memory)
    if run.state_type == "SCHEDULED":
        return _of_waiting(killed, run, size, larger, now)
    if larger is None:
        return _given_up(run, size, before)
    told = f"{OUT_OF_MEMORY} on tier {size}: once more on {larger.name}"
    return _scheduled(HELD, told, now + HELD_FOR)


def _of_waiting(
    killed: Killed, run: RunState, size: str, larger: Tier | None, now: datetime
) -> Step:
    if larger:
        return Change(
            {
                "job_variables": run.job_variables | larger.job_variables,
                "tags": [
                    *(tag for tag in run.tags if not tag.startswith("tier:")),
                    f"tier:{larger.name}",
                    f"enlarged-from:{size}",
                ],
            }
        )
    if run.state_name == HELD:
        return _scheduled("AwaitingRetry", run.message, now)
    model = str(run.parameters.get("sonar_model", ""))
    return Submitted(Reason.ENLARGED, killed.flow_run_id, run.name, model, run.message, size)


def _scheduled(name: str, message: str, when: datetime) -> ProposeState:
    details = {"scheduled_time": when.isoformat()}
    return ProposeState(
        {"type": "SCHEDULED", "name": name, "message": message, "state_details": details}
    )


def _given_up(run: RunState, size: str, before: str | None) -> Step:
    why = f"and {before} was too small before" if before else "and there is no larger one"
    message = (
        f"{OUT_OF_MEMORY} on tier {size}, {why}: give its prefix a larger task by job_variables "
        "in the rules document, then have it converted anew (docs/runbook.md, Crashed)"
    )
    if run.message == message:
        return Rejected(Reason.OUT_OF_MEMORY, message)
    return ProposeState({"type": "CRASHED", "name": "Crashed", "message": message}, force=True)


@dataclass
class LargerTask:
    """Settles a task that was killed."""

    tiers: Sequence[Tier]
    runs: KnownRuns
    deadline: Deadline
    patience: int = PATIENCE

    def settle(self, event: Mapping[str, Any]) -> Outcome:
        """Go step by step until there is nothing left to do.

        Raises:
            TransportError: Prefect did not answer, or the observer has not been.
        """
        killed = read_event(event)
        if not isinstance(killed, Killed):
            return killed
        for _ in range(AT_MOST + self.patience):
            run = self.runs.run_state(killed.flow_run_id, self.deadline)
            if run is None:
                return Ignored(Reason.TASK_SETTLED, f"no flow run {killed.flow_run_id}")
            step = next_step(killed, run, self.tiers, datetime.now(UTC))
            if isinstance(step, AwaitObserver):
                self._wait(killed, step)
            elif isinstance(step, ProposeState):
                self.runs.set_state(killed.flow_run_id, step.state, self.deadline, force=step.force)
            elif isinstance(step, Change):
                self.runs.change_run(killed.flow_run_id, step.changes, self.deadline)
            else:
                # One file, or a batch's own name.
                what = run.parameters.get("raw_file") or run.name
                return replace(step, detail=f"{what}: {step.detail}")
        raise UnavailableError(
            "prefect",
            "larger task",
            f"{killed.flow_run_id} is changed by somebody else all the time",
        )

    def _wait(self, killed: Killed, step: AwaitObserver) -> None:
        self.patience -= 1
        if self.patience < 0 or not self.deadline.pause(1):
            raise UnavailableError(
                "prefect",
                "larger task",
                f"{killed.flow_run_id} is {step.state}: the worker has not told yet that its task was killed",
            )


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
