"""What a user and an operator of a sandbox do: upload files, read the results, run commands."""

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from flows.stores.object_store import ObjectStore
from sandbox.parts.waiting import wait_until
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.system import Sandbox


class SandboxInbox:
    """Uploads files to the inbox bucket and finds their flow runs and outputs."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._bucket = sandbox.names.inbox_bucket
        self._output = sandbox.names.output_bucket
        self._s3 = sandbox.client("s3")

    def drop(self, path: Path, key: str) -> str:
        """Upload a file with one plain PUT; return its URI."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=path.read_bytes())
        return self.uri(key)

    def uri(self, key: str) -> str:
        """Return the URI of an inbox key."""
        return f"s3://{self._bucket}/{key}"

    def output_uri(self, key: str) -> str:
        """Return the URI of an output bucket key."""
        return f"s3://{self._output}/{key}"

    def outputs(self, prefix: str = "") -> list[str]:
        """List the output bucket's keys with a prefix."""
        return list(ObjectStore(self._s3, self._output).list(prefix))

    def runs(self, keys: Collection[str]) -> dict[str, list[FlowRunInfo]]:
        """Return the flow runs of each key, in no order."""
        found: dict[str, list[FlowRunInfo]] = {key: [] for key in keys}
        keys_of = {self.uri(key): key for key in keys}
        # A run's name begins with that of its file, unless that is long. Reading all runs of a long
        # session each time took a quarter of the server's time.
        stems = [key.rpartition("/")[2].rpartition(".")[0] for key in keys]
        shown = all(len(stem) < 90 for stem in stems)
        common = os.path.commonprefix(stems) if shown else ""  # noqa: RUF071 - the common text
        for run in self._sandbox.api.flow_runs(common):
            key = keys_of.get(run.parameters.get("raw_file", ""))
            if key is not None:
                found[key].append(run)
        return found

    def wait_for_ends(self, keys: Collection[str], within: float) -> dict[str, FlowRunInfo]:
        """Wait until each key has flow runs and all have ended; return the last run of each key.

        Raises:
            TimeoutError: a run has not ended in time.
            PartDied: a part of the sandbox exited.
        """
        return wait_until(
            lambda: self._ends(keys),
            within,
            f"{len(keys)} files to end",
            every=0.5,
            describe=lambda: str(
                {
                    key: [f"{run.state_name} {run.message[:200]}" for run in runs]
                    for key, runs in self.runs(keys).items()
                }
            ),
        )

    def _ends(self, keys: Collection[str]) -> dict[str, FlowRunInfo] | None:
        self._sandbox.check()
        runs = self.runs(keys)
        if all(of_key and all(run.is_final for run in of_key) for of_key in runs.values()):
            return {key: of_key[-1] for key, of_key in runs.items()}
        return None

    def storage_options(self) -> dict[str, Any]:
        """Return the storage options with which fsspec and echopype read the buckets."""
        variables = self._sandbox.environment()
        return {
            "key": variables["AWS_ACCESS_KEY_ID"],
            "secret": variables["AWS_SECRET_ACCESS_KEY"],
            "client_kwargs": {
                "endpoint_url": variables["AWS_ENDPOINT_URL"],
                "region_name": variables["AWS_REGION"],
            },
        }


def operator_environment(sandbox: Sandbox) -> dict[str, str]:
    """The variables of an operator's program, without a stack."""
    names, sqs = sandbox.names, sandbox.client("sqs")
    queues = {
        "ECHODROP_QUEUE_URL": names.notifications_queue,
        "ECHODROP_DEAD_LETTERS_URL": names.dead_letter_queue,
    }
    return {
        **sandbox.environment(),
        **{name: sqs.get_queue_url(QueueName=each)["QueueUrl"] for name, each in queues.items()},
        "ECHODROP_RULES_PARAMETER": names.rules_parameter,
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "PATH": os.environ["PATH"],
    }


def run_command(sandbox: Sandbox, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with these words, such as `-m echodrop status`, as an operator would."""
    return subprocess.run(
        [sys.executable, *words],
        env=operator_environment(sandbox),
        capture_output=True,
        text=True,
        check=False,
    )
