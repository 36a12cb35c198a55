"""What came of each file: mended by `reconcile --fix` and time alone, then looked at closely."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lambda_trigger.inbox_rules import Candidate, judge_key
from lambda_trigger.rules_document import Rules, parse_rules
from sandbox.chaos.cargo import Cargo, Outcome
from sandbox.chaos.opened_output import differences_from
from sandbox.chaos.task_history import TaskLife, overlapping, task_lives
from sandbox.inbox import Inbox
from sandbox.prefect_api import FlowRun
from sandbox.programs import TASK_EXECUTOR
from sandbox.system import Sandbox

# Impatient beside the command's own: a worker of the sandbox launches a task within seconds.
GRACE_MINUTES = 1.0
# The command's own three bound a fault that does not pass. Here each one passes,
# and a plan may strike the same run with every task's fault it has (nine), and
# with each of the parts that it needs: what would be left to a person after three
# is not lost, but has not ended either.
ATTEMPTS = 12
_ROUND_SECONDS = 10.0
# What a file still is on its way to somewhere else.
_UNSETTLED = frozenset(
    {
        "arriving",
        "queued",
        "late",
        "running",
        "stuck",
        "never notified",
        "crashed",
        "torn",
        "superseded",
        "output missing",
        "output damaged",
        "waiting",
    }
)


_UNLISTED = "done or ignored"


class ReconcileFailed(Exception):  # noqa: N818 - the name says what happened
    """The command ended in a way that is none of its own."""


@dataclass(frozen=True)
class Look:
    """One call of reconcile: class and detail by key, what --fix did, and the counts."""

    classes: Mapping[str, tuple[str, str]]
    fixes: Sequence[tuple[str, str]]
    counts: Mapping[str, int]


@dataclass
class Aftermath:
    """The state of a sandbox after chaos.

    Attributes:
        found: what reconcile found on the way, by class and key: what was mended.
        fixes: what --fix did, by its words.
    """

    sandbox: Sandbox
    cargo: Cargo
    tick: Callable[[], None]
    say: Callable[[str], object] = lambda _: None
    found: dict[str, set[str]] = field(default_factory=dict)
    fixes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._inbox = Inbox(self.sandbox)
        self._s3 = self.sandbox.client("s3")

    def mend(self, *, within: float) -> None:
        """Reconcile with --fix again and again, until nothing is on its way any more.

        Raises:
            TimeoutError: telling what still is.
            ReconcileFailed: the command failed otherwise than by not reaching Prefect.
        """
        end = time.monotonic() + within
        while True:
            look = self.reconcile("--fix", "--queue", self._queue_url())
            if look is not None:
                for key, (kind, _) in look.classes.items():
                    self.found.setdefault(kind, set()).add(key)
                self.fixes.update(what for _, what in look.fixes)
                self.say(f"reconcile --fix: {dict(look.counts)}")
                going = [key for key, (kind, _) in look.classes.items() if kind in _UNSETTLED]
                if not going and not look.fixes and not self._unended():
                    return
                if time.monotonic() > end:
                    still = {key: look.classes[key] for key in going}
                    raise TimeoutError(f"not settled after {within:.0f} s: {still}")
            pause = time.monotonic() + _ROUND_SECONDS
            while time.monotonic() < pause:
                self.tick()
                time.sleep(0.5)

    def reconcile(self, *options: str) -> Look | None:
        """Call the command as an operator does; None where it could not ask the system.

        Raises:
            ReconcileFailed: it ended otherwise.
        """
        done = subprocess.run(  # noqa: S603 - the project's own command
            [
                *(sys.executable, "-m", "echodrop", "reconcile", "--json"),
                *("--grace", str(GRACE_MINUTES), "--attempts", str(ATTEMPTS), *options),
            ],
            env={
                **self.sandbox.environment(),
                "ECHODROP_RULES_PARAMETER": self.sandbox.names.rules_parameter,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 2:
            self.say(f"reconcile: {done.stderr.strip()[:200]}")
            return None
        if done.returncode not in {0, 1}:
            raise ReconcileFailed(f"exit code {done.returncode}: {done.stderr}")
        return _look([json.loads(line) for line in done.stdout.splitlines()])

    def problems(self) -> Iterator[str]:
        """Everything that is not as it has to be, a sentence each; nothing where all is well.

        Every file in its one outcome and no other; every output whole by its
        manifest and checksum, and in it what the file holds; one run for each
        version of a file, and never two tasks of a run at one time.
        """
        look = self.reconcile("--verify")
        if look is None:
            yield "the system could not be asked"
            return
        runs = self._runs()
        for key, outcome in self.cargo.files.items():
            told = look.classes.get(key, (_UNLISTED, ""))
            yield from (
                f"{key}: {problem}"
                for problem in self._of_file(key, outcome, told, runs.get(key, []))
            )
        yield from (
            f"{key}: {told} in the end, and nobody dropped it"
            for key, (told, _) in look.classes.items()
            if key not in self.cargo.files
        )
        yield from (f"flow run {run.id} is {run.state_name} for ever" for run in self._unended())
        yield from _doubled(runs)
        yield from (
            f"flow run {run} had two tasks at one time" for run in overlapping(self.task_lives())
        )

    def task_lives(self) -> list[TaskLife]:
        """When which flow run had a task."""
        log = self.sandbox.parts[TASK_EXECUTOR].log
        return task_lives(log.read_text().splitlines())

    def _of_file(
        self,
        key: str,
        outcome: Outcome,
        told: tuple[str, str],
        runs: Sequence[FlowRun],
    ) -> Iterator[str]:
        kind, detail = told
        # Reconcile lists neither what is done nor what is ignored.
        wanted = _UNLISTED if outcome.kind in {"done", "ignored"} else outcome.kind
        if kind != wanted or (kind != _UNLISTED and not detail.startswith(f"{outcome.name}:")):
            yield f"{kind} ({detail}), where it should be {outcome.kind} {outcome.name}"
            return
        candidate = judge_key(self.sandbox.names.inbox_bucket, key, self._rules())
        output = candidate.output_key if isinstance(candidate, Candidate) else key
        left = [each for each in self._inbox.outputs(output) if not each.endswith(".failure.json")]
        if outcome.kind == "done":
            yield from self._of_output(key, output, outcome, left)
            return
        if left:
            yield f"it left {left[:3]}"
        if outcome.kind == "quarantined":
            if [run.state_name for run in runs] != [outcome.name]:
                yield f"its runs ended {[run.state_name for run in runs]}"
        elif runs:
            yield f"it has runs, though it is {outcome.kind}"

    def _of_output(
        self, key: str, output: str, outcome: Outcome, left: Sequence[str]
    ) -> Iterator[str]:
        name = f"{output}.manifest.json"
        if name not in left:
            yield "no manifest"
            return
        manifest = json.loads(self._get(name))
        now = self._s3.head_object(Bucket=self.sandbox.names.inbox_bucket, Key=key)
        if manifest["source"]["uri"] != self._inbox.uri(key):
            yield f"made from {manifest['source']['uri']}"
        if manifest["source"]["etag"] != now["ETag"].strip('"'):
            yield "made from an earlier upload"
        stray = [each for each in left if each != name and not each.startswith(f"{output}/")]
        if stray:
            yield f"beside it lie {stray}"
        options = self._inbox.storage_options()
        yield from differences_from(outcome.facts, self._inbox.output_uri(output), options)

    def _get(self, key: str) -> bytes:
        answer = self._s3.get_object(Bucket=self.sandbox.names.output_bucket, Key=key)
        return bytes(answer["Body"].read())

    def _runs(self) -> dict[str, list[FlowRun]]:
        found: dict[str, list[FlowRun]] = {}
        inbox = self._inbox.uri("")
        for run in self.sandbox.api.flow_runs():
            key = str(run.parameters.get("raw_file", "")).removeprefix(inbox)
            found.setdefault(key, []).append(run)
        return found

    def _unended(self) -> list[FlowRun]:
        try:
            return [run for run in self.sandbox.api.flow_runs() if not run.is_final]
        except OSError:
            return []

    def _rules(self) -> Rules:
        name = self.sandbox.names.rules_parameter
        return parse_rules(
            self.sandbox.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        )

    def _queue_url(self) -> str:
        queue = self.sandbox.names.notifications_queue
        return str(self.sandbox.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])


def _look(lines: Sequence[dict[str, Any]]) -> Look:
    return Look(
        classes={
            line["uri"].split("/", 3)[3]: (line["class"], line["detail"])
            for line in lines
            if "class" in line
        },
        fixes=[
            (line["uri"], line["fix"]) for line in lines if "fix" in line and "class" not in line
        ],
        counts=lines[-1]["counts"],
    )


def _doubled(runs: Mapping[str, Sequence[FlowRun]]) -> Iterator[str]:
    for key, of_key in runs.items():
        versions = Counter(run.parameters.get("source_etag") for run in of_key)
        for version, number in versions.items():
            if number > 1:
                yield f"{key}: {number} flow runs of version {version}"
