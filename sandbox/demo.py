"""`echodrop demo`: converts one file through the whole system and shows the result."""

import glob
import json
import shlex
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import UNSIGNED
from botocore.config import Config
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from flows.core.locations import PICTURE_SUFFIX
from flows.publishing.manifest import manifest_rows
from flows.stores import durable_files
from flows.stores.object_store import ObjectStore
from sandbox.parts.processes import SandboxError
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.progress import exit_code_of, shown_progress
from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox
from sandbox.trigger_log import TriggerLog

SAMPLE_NAME = "echodrop-D20250914-T173000.raw"
#: Extensions of files that instruments write beside a raw file. They are uploaded with it.
_COMPANIONS = {".xml", ".bot", ".idx"}
#: Seconds that the conversion may take.
_PATIENCE = 600.0


class DemoError(SandboxError):
    """The demo failed; the message names the file and the reason."""


@dataclass(frozen=True)
class DemoResult:
    """The downloaded output: its manifest, and the local copy with its products beside it."""

    manifest: Mapping[str, Any]
    path: Path

    @property
    def verified(self) -> bool:
        """Whether the manifest records that every object was listed and objects were read back."""
        found, objects = self.manifest["verification"], self.manifest["output"]["objects"]
        return bool(found["objects_listed"] == objects and found["objects_read"] > 0)

    def how_to_open(self) -> str:
        """Return the lines of Python that open the local copy."""
        return (
            "\nOpen it:\n"
            "  from echodrop import open_output\n"
            f"  echodata = open_output({str(self.path)!r})\n"
            '  print(echodata["Sonar/Beam_group1"])\n'
        )

    def how_to_look(self) -> str:
        """Return the picture's address, and the line that opens the gallery."""
        picture = self.path.with_name(self.path.name + PICTURE_SUFFIX)
        address = picture.absolute().as_uri() if picture.is_file() else "not made, see the log"
        return (
            f"Picture:  {address}\nGallery:  echodrop gallery {shlex.quote(str(self.path.parent))}"
        )


def run_demo(
    folder: Path,
    *,
    raw: str | None,
    sonar_model: str | None,
    console: Console,
) -> int:
    """Convert one file through the whole system on this machine and report the result.

    The store, its manifest and its picture remain in `folder`/output. All processes are stopped.
    `raw` is a path, `s3://bucket/key` of a public object (read without credentials), or None for
    a sample file.

    Returns:
        The exit code: 0 only if the output was verified.
    """
    return exit_code_of(lambda: _run(folder, raw, sonar_model, console), console, interrupted=130)


def _run(folder: Path, raw: str | None, sonar_model: str | None, console: Console) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="echodrop-demo-") as inputs,
        console.status("starting") as status,
    ):
        source = _source_file(raw, Path(inputs), console)
        with Sandbox(folder, on_progress=shown_progress(console, status)) as sandbox:
            started = time.monotonic()
            key = f"demo/{source.name}"
            status.update(f"uploading {source.name}")
            _upload(sandbox, source, key, sonar_model, console)
            run = _followed_run(sandbox, key, console, status)
            if run.state_type != "COMPLETED":
                ended = f"{source.name} ended {run.state_name}: {run.message}"
                console.print(ended, style="red", markup=False)
                return 1
            seconds = time.monotonic() - started
            result = _download_result(sandbox, run, folder / "output")
        console.print(report_of(result, seconds))
        for text in (result.how_to_open(), result.how_to_look()):
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        return 0 if result.verified else 1


def _source_file(raw: str | None, inputs: Path, console: Console) -> Path:
    if raw is None:
        sample = write_sample(inputs / SAMPLE_NAME)
        console.print(
            f"Wrote {sample.path.name}: {sample.pings} pings on {len(sample.channels)} channels, "
            f"{sample.bytes / 1e6:.1f} MB"
        )
        return sample.path
    if raw.startswith("s3://"):
        return _public_object(raw, inputs, console)
    path = Path(raw).expanduser()
    if not path.is_file():
        raise DemoError(f"RAW={raw}: file not found")
    return path


def _public_object(uri: str, inputs: Path, console: Console) -> Path:
    """Download a public object and its companion files, without credentials."""
    import boto3  # noqa: PLC0415 - takes a second; only needed for s3:// sources
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3", config=Config(signature_version=UNSIGNED))
    try:
        stem = key.rpartition(".")[0]
        listed = client.list_objects_v2(Bucket=bucket, Prefix=stem).get("Contents", [])
        beside = {item["Key"] for item in listed if _is_companion(item["Key"], key)}
        for each in sorted({key} | beside):
            console.print(f"Downloading s3://{bucket}/{each}")
            client.download_file(bucket, each, str(inputs / Path(each).name))
    except (BotoCoreError, ClientError) as error:
        raise DemoError(f"RAW={uri}: {error} (only public objects can be read)") from error
    return inputs / Path(key).name


def _upload(
    sandbox: Sandbox, source: Path, key: str, sonar_model: str | None, console: Console
) -> None:
    """Upload the file as a user would, its companion files first."""
    s3 = sandbox.client("s3")
    bucket = sandbox.names.inbox_bucket
    # All but Simrad's and Nortek's files need the settings XML in their folder.
    needs_settings = source.suffix.lower() not in {".raw", ".ad2cp"}
    for companion in sorted(each for each in source.parent.iterdir() if each.is_file()):
        is_settings = needs_settings and companion.suffix.lower() == ".xml"
        if not (is_settings or _is_companion(companion.name, source.name)):
            continue
        s3.upload_file(str(companion), bucket, f"demo/{companion.name}")
        console.print(f"Uploaded {companion.name} to s3://{bucket}/demo/")
    metadata = {"Metadata": {"sonar-model": sonar_model}} if sonar_model else None
    s3.upload_file(str(source), bucket, key, ExtraArgs=metadata)
    console.print(f"Uploaded {source.name} to s3://{bucket}/demo/")


def _is_companion(name: str, of: str) -> bool:
    stem, _, extension = name.rpartition(".")
    return stem == of.rpartition(".")[0] and f".{extension.lower()}" in _COMPANIONS


def _followed_run(sandbox: Sandbox, key: str, console: Console, status: Status) -> FlowRunInfo:
    """Wait until the file's flow run has ended, and print its log lines."""
    deadline = time.monotonic() + _PATIENCE
    shown = 0
    uri, trigger_log = f"s3://{sandbox.names.inbox_bucket}/{key}", TriggerLog(sandbox.state.logs)
    status.update("waiting for the flow run")
    while time.monotonic() < deadline:
        sandbox.check()
        for found in trigger_log.new_outcomes():
            if found.key == key and found.outcome != "Submitted":
                raise DemoError(f"{key}: {found.outcome}, {found.reason}: {found.detail}")
        for run in sandbox.api.flow_runs():
            if run.parameters.get("raw_file") != uri:
                continue
            status.update(f"{run.name}: {run.state_name.lower()}")
            lines = sandbox.api.logs(run.id)
            for line in lines[shown:]:
                console.print(
                    f"  {line.splitlines()[0]}",
                    style="dim",
                    markup=False,
                    highlight=False,
                    no_wrap=True,
                    overflow="ellipsis",
                )
            shown = len(lines)
            if run.is_final:
                return run
        time.sleep(0.3)
    raise DemoError(
        f"{key} has no outcome after {_PATIENCE:.0f} s; the logs are in {sandbox.state.logs}"
    )


def _download_result(sandbox: Sandbox, run: FlowRunInfo, target: Path) -> DemoResult:
    """Download the output, its manifest and its products from the sandbox's S3."""
    uri = str(run.parameters["output_path"])
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = sandbox.client("s3")
    local = target / Path(key).name
    for before in target.glob(f"{glob.escape(local.name)}*"):
        durable_files.remove(before)
    for each in ObjectStore(s3, bucket).list(key):
        path = target / each.removeprefix(key.rpartition("/")[0] + "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, each, str(path))
    manifest = json.loads(local.with_name(f"{local.name}.manifest.json").read_text())
    return DemoResult(manifest, local)


def report_of(result: DemoResult, seconds: float) -> Table:
    """Return the result as a table; `seconds` are from the upload's start to the run's end."""
    table = Table(show_header=False, title=result.path.name)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in manifest_rows(result.manifest):
        table.add_row(row["fact"], escape(row["value"]))
    table.add_row("upload to completion", f"{seconds:.1f} s")
    table.add_row("saved at", escape(str(result.path)))
    table.add_row("result", "[green]verified[/green]" if result.verified else "[red]not verified")
    return table
