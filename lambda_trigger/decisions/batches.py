"""Batches: several small files in one flow run. Pure.

docs/decisions/warm-lane.md gives the reasons and the figures.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lambda_trigger.decisions.outcomes import Upload
from lambda_trigger.decisions.rules_document import BatchRule, PrefixRule
from lambda_trigger.decisions.run_identity import RunRequest, batch_tag

# Prefect accepts parameters of up to 512 KB.
MAX_PARAMETERS = 400_000


@dataclass(frozen=True, slots=True)
class Batchable:
    """An upload that may share a run; `wanted` is the run it would have alone."""

    wanted: RunRequest
    sonar_model: str
    size: str


@dataclass
class Batch:
    """Files for one run. Each identity and each output occurs once."""

    files: dict[str, RunRequest] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)
    size: int = 0


def is_small(upload: Upload, rule: PrefixRule, wanted: RunRequest, batch: BatchRule) -> bool:
    """Return whether an upload may share a run."""
    return (
        (rule.batch or upload.lane in batch.lanes)
        # The same batch would have the identity of the run that failed.
        and not upload.is_repair
        and (upload.size or 0) <= batch.up_to_bytes
        # A file that waits for an operator would delay the others.
        and wanted.paused is None
        and "pause_above_bytes" not in wanted.parameters
    )


def batches(waiting: Sequence[Batchable], batch: BatchRule) -> Iterator[list[RunRequest]]:
    """Group uploads with the same deployment, lane and task size, in the order of arrival.

    An identity that occurs more than once goes into one batch only. Two files with
    the same output never share a batch, because the batch would refuse both.
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
    """Describe one run of several files; a single file keeps its own run.

    The batch's identity is a hash of its files' identities, in any order. Each
    file's identity is also in a tag, which finds the run, and in the file's entry,
    which names its task run.
    """
    first = files[0]
    if len(files) == 1:
        return first
    identities = sorted(wanted.idempotency_key for wanted in files)
    shared = [tag for tag in first.tags if all(tag in wanted.tags for wanted in files)]
    return RunRequest(
        deployment=batch.deployment,
        name=f"{len(files)} files · {first.name} …",
        tags=[*shared, *map(batch_tag, identities)],
        idempotency_key=hashlib.sha256(
            json.dumps([batch.deployment, identities]).encode()
        ).hexdigest(),
        parameters={
            "files": [
                {**wanted.parameters, "identity": wanted.idempotency_key}
                | ({"forced": True} if wanted.is_forced else {})
                for wanted in files
            ]
        },
        job_variables=first.job_variables,
        lane=first.lane,
    )
