"""Repairs the system with `reconcile --fix` after a chaos test, then checks every file."""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lambda_trigger.decisions.inbox_rules import Candidate, judge_key
from lambda_trigger.decisions.rules_document import Rules, parse_rules
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.start import TASK_EXECUTOR
from sandbox.system import Sandbox
from tests.chaos.files import ChaosFiles, ExpectedOutcome
from tests.chaos.reconcile_command import ReconcileCommand
from tests.chaos.task_history import ExecutedTask, executed_tasks, overlapping_runs
from tests.sandbox_inbox import SandboxInbox

_ROUND_SECONDS = 10.0
# Classes of files that have no final outcome yet.
_UNSETTLED = frozenset(
    {"arriving", "queued", "late", "running", "stuck", "never notified", "crashed", "torn"}
    | {"superseded", "output missing", "output damaged", "waiting"}
)
_UNLISTED = "done or ignored"


@dataclass
class ChaosVerification:
    """Repairs and checks a sandbox after a chaos test.

    Attributes:
        found: keys that reconcile found before all files were final, by class.
        fixes: number of fixes by reconcile --fix, by description.
    """

    sandbox: Sandbox
    files: ChaosFiles
    tick: Callable[[], None]
    log: Callable[[str], object] = lambda _: None
    found: dict[str, set[str]] = field(default_factory=dict)
    fixes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._inbox = SandboxInbox(self.sandbox)
        self._s3 = self.sandbox.client("s3")
        self._reconcile = ReconcileCommand(self.sandbox, self.log)

    def repair(self, *, within: float) -> None:
        """Repeat reconcile --fix until every file has its final outcome.

        Raises:
            TimeoutError: some files have none.
            ReconcileFailed: the command failed, and not because Prefect was unreachable.
        """
        end = time.monotonic() + within
        while True:
            result = self._reconcile.run("--fix", "--queue", self._queue_url())
            if result is not None:
                for key, (kind, _) in result.classes.items():
                    self.found.setdefault(kind, set()).add(key)
                self.fixes.update(what for _, what in result.fixes)
                self.log(f"reconcile --fix: {dict(result.counts)}")
                unsettled = [key for key, (kind, _) in result.classes.items() if kind in _UNSETTLED]
                if not unsettled and not result.fixes and not self._running_runs():
                    return
                if time.monotonic() > end:
                    still = {key: result.classes[key] for key in unsettled}
                    raise TimeoutError(f"no final outcome after {within:.0f} s: {still}")
            pause = time.monotonic() + _ROUND_SECONDS
            while time.monotonic() < pause:
                self.tick()
                time.sleep(0.5)

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each problem.

        Every file must have its expected outcome. Every output must match its
        manifest, its checksums and its raw file. Each version of a file must have one
        run, and a run must not have two tasks at the same time.
        """
        result = self._reconcile.run("--verify")
        if result is None:
            yield "reconcile could not reach the system"
            return
        runs = self._runs()
        for key, outcome in self.files.outcomes.items():
            listed = result.classes.get(key, (_UNLISTED, ""))
            yield from (
                f"{key}: {problem}"
                for problem in self._file_problems(key, outcome, listed, runs.get(key, []))
            )
        yield from (
            f"{key}: {kind}, but it was not uploaded"
            for key, (kind, _) in result.classes.items()
            if key not in self.files.outcomes
        )
        yield from (
            f"flow run {run.id} has not ended: {run.state_name}" for run in self._running_runs()
        )
        yield from _duplicates(runs)
        yield from (
            f"flow run {run} had two tasks at the same time"
            for run in overlapping_runs(self.executed_tasks())
        )

    def executed_tasks(self) -> list[ExecutedTask]:
        """Return the tasks of flow runs with their times."""
        log = self.sandbox.parts[TASK_EXECUTOR].log
        return executed_tasks(log.read_text().splitlines())

    def _file_problems(
        self,
        key: str,
        outcome: ExpectedOutcome,
        listed: tuple[str, str],
        runs: Sequence[FlowRunInfo],
    ) -> Iterator[str]:
        kind, detail = listed
        # Reconcile lists no ignored files, and done files only if they lack something.
        kind = _UNLISTED if kind == "done" else kind
        expected = _UNLISTED if outcome.kind in {"done", "ignored"} else outcome.kind
        if kind != expected or (kind != _UNLISTED and not detail.startswith(f"{outcome.name}:")):
            yield f"{kind} ({detail}), expected {outcome.kind} {outcome.name}"
            return
        candidate = judge_key(self.sandbox.names.inbox_bucket, key, self._rules())
        output = candidate.output_key if isinstance(candidate, Candidate) else key
        left = [each for each in self._inbox.outputs(output) if not each.endswith(".failure.json")]
        if outcome.kind == "done":
            yield from self._output_problems(key, output, outcome, left)
            return
        if left:
            yield f"it has outputs: {left[:3]}"
        if outcome.kind == "quarantined":
            if [run.state_name for run in runs] != [outcome.name]:
                yield f"its runs ended {[run.state_name for run in runs]}"
        elif runs:
            yield f"it is {outcome.kind} but has flow runs"

    def _output_problems(
        self, key: str, output: str, outcome: ExpectedOutcome, left: Sequence[str]
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
            yield f"unexpected objects: {stray}"
        options = self._inbox.storage_options()
        yield from differences_from(outcome.facts, self._inbox.output_uri(output), options)

    def _get(self, key: str) -> bytes:
        answer = self._s3.get_object(Bucket=self.sandbox.names.output_bucket, Key=key)
        return bytes(answer["Body"].read())

    def _runs(self) -> dict[str, list[FlowRunInfo]]:
        found: dict[str, list[FlowRunInfo]] = {}
        inbox = self._inbox.uri("")
        for run in self.sandbox.api.flow_runs():
            key = str(run.parameters.get("raw_file", "")).removeprefix(inbox)
            found.setdefault(key, []).append(run)
        return found

    def _running_runs(self) -> list[FlowRunInfo]:
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


def _duplicates(runs: Mapping[str, Sequence[FlowRunInfo]]) -> Iterator[str]:
    for key, of_key in runs.items():
        versions = Counter(run.parameters.get("source_etag") for run in of_key)
        for version, number in versions.items():
            if number > 1:
                yield f"{key}: {number} flow runs of version {version}"


def differences_from(
    facts: Mapping[str, Any], uri: str, storage_options: Mapping[str, Any]
) -> Iterator[str]:
    """Open a converted file and yield each difference from the facts.

    Args:
        facts: facts that echopype read from the raw file: `groups`, the dimensions
            of `Beam_group1`, `first_ping_time`, `last_ping_time`, `channels`,
            `backscatter_r_nansum`, `latitude_mean`, `longitude_mean`. A missing fact
            or None is unknown.
        uri: the URI of the Zarr store.
        storage_options: fsspec options to read it with.

    Raises:
        OSError, ValueError: the store cannot be opened.
    """
    # The import takes seconds and disables logging below ERROR in the whole process.
    import echopype  # noqa: PLC0415

    opened = echopype.open_converted(uri, storage_options=dict(storage_options))
    found = dict(_facts_of(opened))
    for name, value in facts.items():
        if name in found and value is not None and not _same(value, found[name]):
            yield f"{name} is {found[name]}, but {value} in the file"
    if missing := {"groups", "Beam_group1", "first_ping_time"} - found.keys():
        yield f"the output has no {', '.join(sorted(missing))}"


def _facts_of(opened: Any) -> Iterator[tuple[str, Any]]:
    beam = opened["Sonar/Beam_group1"]
    yield "groups", sorted(opened.group_paths)
    yield "Beam_group1", dict(beam.sizes)
    times = beam["ping_time"].values
    yield "first_ping_time", np.datetime_as_string(times[0], unit="ns")
    yield "last_ping_time", np.datetime_as_string(times[-1], unit="ns")
    if "channel" in beam.coords:
        yield "channels", [str(channel) for channel in beam["channel"].values]
    if "backscatter_r" in beam:
        yield "backscatter_r_nansum", float(np.nansum(beam["backscatter_r"].values))
    platform = opened["Platform"]
    for name in ("latitude", "longitude"):
        if name in platform:
            yield f"{name}_mean", float(platform[name].mean())


def _same(expected: object, found: object) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        both_nan = math.isnan(expected) and math.isnan(found)
        return both_nan or math.isclose(expected, found, rel_tol=1e-9)
    return expected == found
