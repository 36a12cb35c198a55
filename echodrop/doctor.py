"""`echodrop doctor`: whether this machine has what conversions need, and what to do if not."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from typing import Annotated

import boto3
import typer
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from echodrop.system_commands import deploy
from flows.core.locations import LocalLocation, OutputLocation, output_location
from flows.core.run_ends import Outcome
from flows.deployment.stack_finding import Finding, report
from flows.runs.task_resources import task_resources
from flows.stores.errors import named_ends
from flows.stores.s3_client import s3_client

# Below this, an ordinary file fills the disk or memory.
ROOM_BYTES = 2_000_000_000
_SECONDS = 5
_QUICK = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 1})


def doctor(
    *,
    out: Annotated[
        str, typer.Option(help="Folder or s3:// prefix that outputs go to, to test it.")
    ] = ".",
    stack: Annotated[
        str | None, typer.Option(help="Also check this deployed stack, as deploy --check does.")
    ] = None,
) -> int:
    """Check this machine: packages, disk, credentials, S3, Prefect; and what to do.

    Exit code 0: everything that a conversion needs is there; 1: something is missing.
    """
    good = report(check_machine(out), print, "PROBLEM")
    code = deploy(stack=stack, only_check=True) if stack is not None else 0
    return code or (0 if good else 1)


def check_machine(out: str) -> Iterator[Finding]:
    """Check Python, packages, memory, disks, the output's folder, S3 and Prefect."""
    yield _python()
    yield from _packages()
    memory = task_resources().memory
    yield _room("memory", memory, "convert on a machine with more memory; large files take 1 GB")
    yield _temporary_folder()
    yield _output(out)
    yield _credentials()
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        yield _endpoint(endpoint)
    yield _prefect()


def _python() -> Finding:
    allowed, found = metadata.metadata("echodrop")["Requires-Python"], platform.python_version()
    subject = f"Python {found}"
    if SpecifierSet(allowed).contains(found):
        return Finding(subject)
    return Finding(subject, f"echodrop needs {allowed}", "install it in an environment of those")


def _packages() -> Iterator[Finding]:
    wanted = [Requirement(each) for each in metadata.requires("echodrop") or []]
    # The packages of the extras are for the sandbox and for development.
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    good = True
    for each in wanted:
        try:
            found = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            problem = "is not installed"
        else:
            if each.specifier.contains(found, prereleases=True):
                continue
            problem = f"{found} is installed, {each.specifier} is needed"
        good = False
        yield Finding(f"package {each.name}", problem, f"pip install '{each}'")
    if good:
        yield Finding(f"the versions of {len(wanted)} packages")


def _room(subject: str, found: int, fix: str) -> Finding:
    subject = f"{subject}: {found / 1e9:,.1f} GB"
    return Finding(subject) if found >= ROOM_BYTES else Finding(subject, "is little", fix)


def _temporary_folder() -> Finding:
    fix = "set TMPDIR to a folder on a large disk; a remote raw file is copied there"
    try:
        folder = tempfile.gettempdir()
        return _room(f"room in the temporary folder {folder}", shutil.disk_usage(folder).free, fix)
    except OSError as error:
        return Finding("temporary folder", str(error), fix)


def _output(out: str) -> Finding:
    subject = f"output {out}"
    try:
        place = output_location(out, "a.raw", "zarr")
        with named_ends(out, writes=True):
            return _try_output(subject, place)
    except (Outcome, ValueError) as error:
        fix = "choose another with --out, or correct its permissions or your credentials"
        return Finding(subject, str(error), fix)


def _try_output(subject: str, place: OutputLocation) -> Finding:
    if not isinstance(place, LocalLocation):
        s3_client({}).head_bucket(Bucket=place.bucket)
        return Finding(subject)
    folder = next(each for each in place.path.parents if each.exists())
    with tempfile.TemporaryFile(dir=folder):
        free = shutil.disk_usage(folder).free
    return _room(f"room in the {subject}", free, "choose a folder on a larger disk")


def _credentials() -> Finding:
    subject = "AWS credentials"
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            note = "none: local files and public buckets (--anon) can be converted"
            return Finding(subject, note=note, fix="aws configure, or set AWS_PROFILE")
        region = session.region_name or "us-east-1"
        who = session.client("sts", region_name=region, config=_QUICK).get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError) as error:
        return Finding(subject, str(error), "aws sso login, aws configure, or set AWS_PROFILE")
    return Finding(f"{subject}: {who}")


def _endpoint(endpoint: str) -> Finding:
    subject = f"S3 endpoint {endpoint}"
    try:
        # Any answer will do.
        urllib3.request("HEAD", endpoint, timeout=_SECONDS, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return Finding(subject, str(error), "correct or unset AWS_ENDPOINT_URL; start the server")
    return Finding(subject)


def _prefect() -> Finding:
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - takes a second
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415 - as above

    from flows.deployment.stack_check import check_api  # noqa: PLC0415 - as above

    if not PREFECT_API_URL.value():
        return Finding(
            "Prefect", note="PREFECT_API_URL is not set; convert and check need no server"
        )
    with get_client(sync_client=True) as client:
        return check_api(client)
