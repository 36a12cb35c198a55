"""Small files in one run: which go together, and what to ask Prefect for. Pure.

docs/decisions/warm-lane.md says what it gains.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lambda_trigger.flow_runs import RunRequest
from lambda_trigger.outcomes import Upload
from lambda_trigger.rules_document import BatchRule, PrefixRule

# Prefect takes parameters of up to 512 KB.
MAX_PARAMETERS = 400_000


@dataclass(frozen=True, slots=True)
class Batchable:
    """What an upload's own run would be; it may share one with others instead."""

    wanted: RunRequest
    sonar_model: str
    size: str


@dataclass
class Batch:
    """Files for one run, each identity and each output once."""

    files: dict[str, RunRequest] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)
    size: int = 0


def is_small(upload: Upload, rule: PrefixRule, wanted: RunRequest, batch: BatchRule) -> bool:
    """Tell whether an upload may share a run."""
    return (
        (rule.batch or upload.lane in batch.lanes)
        # The same company would have the identity of the run that went wrong.
        and not upload.mends
        and (upload.size or 0) <= batch.up_to_bytes
        # A file that waits for its operator would hold the others up.
        and wanted.paused is None
        and "pause_above_bytes" not in wanted.parameters
    )


def batches(waiting: Sequence[Batchable], batch: BatchRule) -> Iterator[list[RunRequest]]:
    """Group by what a run has one of: deployment, lane, size of task; in the order of arrival.

    An identity is in one of them, however often it is there. Two files of one
    output are never in the same, for the batch would refuse them both.
    """
    open_ones: dict[str, list[Batch]] = {}
    for wanted in {each.wanted.idempotency_key: each.wanted for each in waiting}.values():
        alike = json.dumps(
            [wanted.deployment, wanted.lane, sorted(wanted.job_variables.items())], default=str
        )
        known = open_ones.setdefault(alike, [])
        output, size = str(wanted.parameters["output_path"]), len(json.dumps(wanted.parameters))
        found = next(
            (
                each
                for each in known
                if output not in each.outputs
                and len(each.files) < batch.max_files
                and each.size + size <= MAX_PARAMETERS
            ),
            None,
        )
        if found is None:
            found = Batch()
            known.append(found)
        found.files[wanted.idempotency_key] = wanted
        found.outputs.add(output)
        found.size += size
    for known in open_ones.values():
        for each in known:
            yield list(each.files.values())


def run_of(files: Sequence[RunRequest], batch: BatchRule) -> RunRequest:
    """Ask for one run of several files; a file alone has the run of its own.

    The run's identity is that of its files, in any order. Each file's own stands
    in a tag, by which the run is found, and in its entry, which names its task run.
    """
    first = files[0]
    if len(files) == 1:
        return first
    identities = sorted(wanted.idempotency_key for wanted in files)
    shared = [tag for tag in first.tags if all(tag in wanted.tags for wanted in files)]
    return RunRequest(
        deployment=batch.deployment,
        name=f"{len(files)} files · {first.name} …",
        tags=[*shared, *(f"file:{identity}" for identity in identities)],
        idempotency_key=hashlib.sha256(
            json.dumps([batch.deployment, identities]).encode()
        ).hexdigest(),
        parameters={
            "files": [{**wanted.parameters, "identity": wanted.idempotency_key} for wanted in files]
        },
        job_variables=first.job_variables,
        lane=first.lane,
    )
