"""The sandbox's buckets as a user and a waiting test see them."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from sandbox.prefect_api import FlowRun
from sandbox.system import Sandbox
from sandbox.waiting import wait_until


class Inbox:
    """Drops files into the inbox bucket and tells what became of them."""

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
        """Return the URI a dropped file has."""
        return f"s3://{self._bucket}/{key}"

    def output_uri(self, key: str) -> str:
        """Return the URI an object of the output bucket has."""
        return f"s3://{self._output}/{key}"

    def outputs(self, prefix: str = "") -> list[str]:
        """List the keys of the output bucket under a prefix."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._output, Prefix=prefix
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def runs(self, keys: Collection[str]) -> dict[str, list[FlowRun]]:
        """Return the flow runs of each of these keys, in no order."""
        found: dict[str, list[FlowRun]] = {key: [] for key in keys}
        keys_of = {self.uri(key): key for key in keys}
        for run in self._sandbox.api.flow_runs():
            key = keys_of.get(run.parameters.get("raw_file", ""))
            if key is not None:
                found[key].append(run)
        return found

    def wait_for_ends(self, keys: Collection[str], within: float) -> dict[str, FlowRun]:
        """Wait until each of these keys has a flow run that has ended; return the last of each.

        Raises:
            TimeoutError: with the state of each key's runs.
            PartDied: a part of the sandbox ended meanwhile.
        """
        return wait_until(
            lambda: self._ends(keys),
            within,
            f"{len(keys)} files to end",
            every=0.5,
            told=lambda: str(
                {
                    key: [f"{run.state_name} {run.message[:200]}" for run in runs]
                    for key, runs in self.runs(keys).items()
                }
            ),
        )

    def _ends(self, keys: Collection[str]) -> dict[str, FlowRun] | None:
        self._sandbox.check()
        runs = self.runs(keys)
        if all(of_key and all(run.is_final for run in of_key) for of_key in runs.values()):
            return {key: of_key[-1] for key, of_key in runs.items()}
        return None

    def storage_options(self) -> dict[str, Any]:
        """Return what fsspec and echopype need to read the sandbox's buckets."""
        variables = self._sandbox.environment()
        return {
            "key": variables["AWS_ACCESS_KEY_ID"],
            "secret": variables["AWS_SECRET_ACCESS_KEY"],
            "client_kwargs": {
                "endpoint_url": variables["AWS_ENDPOINT_URL"],
                "region_name": variables["AWS_REGION"],
            },
        }
