"""Faults of stores, credentials and disks end in a named outcome, in Python and at a terminal."""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from echodrop.command_line import app
from flows.conversion import convert
from flows.core import transient_faults
from flows.core.outcomes import (
    AccessDenied,
    DiskFault,
    InvalidParameters,
    MissingSidecar,
    TransientFault,
)
from flows.publishing.publication import Published
from flows.stores import download as source
from flows.stores.request import ConversionRequest
from tests.contract.flows.conftest import EK60, Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, fault_proxy

EK80 = "ek80/-1519668699940320059.raw"
Chosen = Callable[[str], bool]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transient_faults, "ATTEMPTS", 2)
    monkeypatch.setattr(source, "_ATTEMPTS", 2)
    # The SDK waits up to 20 s between its attempts.
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount",
        lambda *_: random.uniform(0, 0.01),
    )


def spoiled(request: ConversionRequest, port: int, fault: Fault, chosen: Chosen) -> list[str]:
    """Convert while every chosen request fails; return the failed requests."""

    def plan(_number: int, line: str) -> Fault | None:
        return fault if chosen(line) else None

    with fault_proxy(port, plan) as proxy:
        options = options_for(proxy.port)
        try:
            convert(
                request.model_copy(
                    update={"input_storage_options": options, "output_storage_options": options}
                )
            )
        finally:
            assert proxy.spoiled
    return proxy.spoiled


def of_the_manifest(line: str) -> bool:
    return line.startswith("GET") and "manifest.json" in line


def head_of_the_source(line: str) -> bool:
    return line.startswith("HEAD") and "ek80.raw" in line


def get_of_the_source(line: str) -> bool:
    return line.startswith("GET") and "ek80.raw" in line


def put(line: str) -> bool:
    return line.startswith("PUT")


# The refused request, and the text that the failure must contain.
REFUSED: list[tuple[Chosen, str]] = [
    (of_the_manifest, "output-"),
    (head_of_the_source, "inbox-"),
    (get_of_the_source, "inbox-"),
    (put, "output-"),
]


@pytest.mark.parametrize(
    ("fault", "chosen", "named", "end"),
    [
        *(("403", *refused, AccessDenied) for refused in REFUSED),
        ("401", *REFUSED[0], AccessDenied),
        # These last until all retries have failed.
        *(("503", *refused, TransientFault) for refused in REFUSED),
        ("reset", *REFUSED[0], TransientFault),
        # A HEAD response has no body with this error code.
        *(
            ("403 skewed", *refused, TransientFault)
            for refused in REFUSED
            if refused[0] is not head_of_the_source
        ),
    ],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_a_refusal_is_access_denied_and_a_fault_transient_wherever_it_comes(
    buckets: Buckets,
    fault: Fault,
    chosen: Chosen,
    named: str,
    end: type[AccessDenied | TransientFault],
) -> None:
    buckets.upload("ek80.raw", EK80)
    request = buckets.request("ek80.raw", sonar_model="EK80")
    if chosen is head_of_the_source:
        # Sent only if an output is published.
        convert(request)
    with pytest.raises(end) as failure:
        spoiled(request, buckets.port, fault, chosen)
    assert str(failure.value).startswith(f"s3://{named}")


def test_a_refusal_amid_the_ranges_is_access_denied(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "PART_BYTES", 10_000)
    buckets.upload("ek80.raw", EK80)
    seen: list[str] = []

    def later(line: str) -> bool:
        if get_of_the_source(line):
            seen.append(line)
        return len(seen) > 1 and get_of_the_source(line)

    with pytest.raises(AccessDenied, match=r"ek80\.raw"):
        spoiled(buckets.request("ek80.raw", sonar_model="EK80"), buckets.port, "403", later)


@pytest.mark.usefixtures("no_account")
def test_without_credentials_it_is_access_denied(buckets: Buckets, tmp_path: Path) -> None:
    where = {"endpoint_url": f"http://127.0.0.1:{buckets.port}"}
    with pytest.raises(AccessDenied, match="NoCredentialsError"):
        buckets.convert(input_storage_options=where, output_path=str(tmp_path / "out.zarr"))


@pytest.mark.usefixtures("no_account")
def test_a_public_bucket_needs_no_account(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{buckets.port}")
    buckets.upload("ek60.raw", EK60)
    buckets.upload("ek60.bot", EK60.replace(".raw", ".bot"))
    client, bucket = buckets.inbox.client, buckets.inbox.bucket
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    for key in ("ek60.raw", "ek60.bot"):
        client.put_object_acl(Bucket=bucket, Key=key, ACL="public-read")
    raw, output = f"s3://{bucket}/ek60.raw", tmp_path / "out.zarr"
    arguments = ["convert", raw, str(output), "--model", "EK60"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert "AccessDenied: " in refused.output
    done = CliRunner().invoke(app, [*arguments, "--anon"])
    assert done.exit_code == 0, done.output
    manifest = json.loads(output.with_name("out.zarr.manifest.json").read_text())
    assert manifest["source"]["uri"] == raw
    assert [sidecar["kind"] for sidecar in manifest["sidecars"]] == ["bot"]


def test_a_refused_listing_is_in_the_manifest(buckets: Buckets, tmp_path: Path) -> None:
    buckets.upload("ek60.raw", EK60)
    buckets.upload("ek60.bot", EK60.replace(".raw", ".bot"))

    def listing(_number: int, line: str) -> Fault | None:
        return "403" if "list-type=2" in line else None

    with fault_proxy(buckets.port, listing) as proxy:
        parameters: dict[str, Any] = {
            "input_storage_options": options_for(proxy.port),
            "output_path": str(tmp_path / "out.zarr"),
        }
        done = buckets.convert("ek60.raw", **parameters)
        with pytest.raises(MissingSidecar, match=r"\.bot is not next to it \(did not look for"):
            buckets.convert(
                "ek60.raw", **parameters, convert_params={"include_bot": True}, overwrite=True
            )
        # With its name, it is read without a listing.
        uri = f"s3://{buckets.inbox.bucket}/ek60.bot"
        named = buckets.convert(
            "ek60.raw", **parameters, convert_params={"bot_path": uri}, overwrite=True
        )
    assert isinstance(done, Published)
    assert done.manifest["sidecars"] == []
    assert done.manifest["parser_warnings"][0].startswith(
        "did not look for .bot and .idx next to the file: "
    )
    assert isinstance(named, Published)
    assert [sidecar["uri"] for sidecar in named.manifest["sidecars"]] == [uri]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"requester_pays": True}, "unknown storage options ['requester_pays'] for S3"),
        ({"key": 7}, "storage option key is not of type str"),
        ({"client_kwargs": {"region": "x"}}, "unknown client_kwargs ['region']"),
        ({"config_kwargs": {"retires": 3}}, "retires"),
        ({"config_kwargs": {"retries": {"mode": "sometimes"}}}, "sometimes"),
    ],
)
def test_invalid_storage_options_are_named_before_any_request(
    options: dict[str, Any], text: str
) -> None:
    given: dict[str, Any] = {
        "raw_file": "s3://inbox/a.raw",
        "sonar_model": "EK60",
        "output_path": "s3://out/",
    }
    for name in ("input_storage_options", "output_storage_options"):
        with pytest.raises(InvalidParameters) as refused:
            ConversionRequest(**given | {name: options})
        assert str(refused.value).startswith(f"{name}: ")
        assert text in str(refused.value)
    # They are ignored if everything is local.
    local = given | {"raw_file": "a.raw", "output_path": "out"}
    ConversionRequest(**local, input_storage_options=options)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Limits files to 200 KB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def without_blanks(text: str) -> str:
    """Without blanks, because line breaks in a terminal depend on the length of the folder's name."""
    return "".join(text.split())


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("name", ["out.zarr", "out.nc"])
def test_a_full_disk_is_named_and_the_file_is_not_blamed(
    real_data: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    done = CliRunner().invoke(app, ["convert", str(real_data / EK60), str(output)])
    assert done.exit_code == 1
    assert without_blanks(done.output).startswith(f"DiskFault:{output}:localdisk:OSError:")
    assert "Filetoolarge" in without_blanks(done.output)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".claim.json")] == []


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_is_full_while_a_file_is_fetched_is_named(buckets: Buckets) -> None:
    buckets.upload("ek60.raw", EK60)
    with pytest.raises(DiskFault) as failure:
        convert(buckets.request("ek60.raw"))
    assert failure.value.what == f"s3://{buckets.inbox.bucket}/ek60.raw"
    assert buckets.output_keys() == set()


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize(
    "end", [("503", 3, "Try again: s3://inbox-"), ("403", 1, "AccessDenied: ")], ids=str
)
def test_a_terminal_shows_the_faults_of_a_store(
    buckets: Buckets,
    end: tuple[Fault, int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault, code, text = end
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with fault_proxy(buckets.port, lambda _number, _line: fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        raw = f"s3://{buckets.inbox.bucket}/ek80.raw"
        arguments = ["convert", raw, str(tmp_path / "out.zarr"), "--model", "EK80"]
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    assert without_blanks(text) in without_blanks(done.output)
