"""`echodrop convert` and `check` take s3:// and http:// as they take a path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from urllib3 import Retry

import echodrop
from echodrop.command_line import app
from flows.detected_model import detected_model
from flows.stores import s3_client
from sandbox.sea.sample_file import write_sample
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, fault_proxy
from tests.http_servers import folder_server


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "sea.raw", pings=20, samples=50).path


@pytest.fixture
def site(sample: Path) -> Iterator[str]:
    """A web server without ranges, with the sample's folder."""
    with folder_server(sample.parent) as address:
        yield address.rstrip("/")


@pytest.fixture
def _account(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of somebody whose S3 is moto."""
    # Clients are cached, and have read other environment variables.
    s3_client._client.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_port}")
    yield
    s3_client._client.cache_clear()


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.usefixtures("_account")
def test_the_remedy_for_a_damaged_upload_works_as_documented(
    buckets: Buckets, sample: Path
) -> None:
    buckets.upload("cruise/a.raw", sample.read_bytes()[:-100])
    raw, out = f"s3://{buckets.inbox.bucket}/cruise/a.raw", f"s3://{buckets.output.bucket}/cruise"
    checked = ran("check", raw)
    assert checked.exit_code == 1
    assert "truncated" in checked.output
    refused = ran("convert", raw, out)
    assert refused.exit_code == 1
    assert "to do: " in refused.stderr
    assert "--allow-partial" in refused.stderr
    done = ran("convert", raw, out, "--allow-partial")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}/a.zarr\n"
    assert f"partial: the output has only a part of {raw}" in done.stderr
    body = buckets.output.get("cruise/a.zarr.manifest.json")
    assert body is not None
    assert json.loads(body.body)["sonar"] == {"model": "EK60", "found_by": "bytes"}


@pytest.mark.usefixtures("_account")
def test_a_prefix_stands_for_the_raw_files_below_it(buckets: Buckets, sample: Path) -> None:
    for key in ("c/a.raw", "c/leg2/b.raw", "c/leg2/b.bot", "other.raw"):
        buckets.upload(key, sample)
    inbox = f"s3://{buckets.inbox.bucket}"
    listed = ran("convert", f"{inbox}/c/", "s3://output/x", "--dry-run", "--overwrite")
    assert listed.stdout.splitlines() == [
        f"would convert: {inbox}/c/a.raw (EK60) -> s3://output/x/a.zarr",
        f"would convert: {inbox}/c/leg2/b.raw (EK60) -> s3://output/x/leg2/b.zarr",
    ]


@pytest.mark.usefixtures("_account")
@pytest.mark.parametrize("absent", ["inbox", "output"])
def test_a_bucket_that_does_not_exist_is_named(buckets: Buckets, sample: Path, absent: str) -> None:
    buckets.upload("a.raw", sample)
    raw = f"s3://{'absent-1' if absent == 'inbox' else buckets.inbox.bucket}/a.raw"
    out = f"s3://{'absent-1' if absent == 'output' else buckets.output.bucket}/b.zarr"
    for more in ([], ["--model", "EK60"]):
        done = ran("convert", raw, out, *more)
        assert done.exit_code == 1, done.output
        place = raw if absent == "inbox" else out
        assert f"AccessDenied: {place}: the bucket does not exist" in done.stderr
        assert "access denied" not in done.stderr
        assert "\nto do: check the name" in done.stderr


def test_a_file_on_a_web_server_is_converted_and_checked(site: str, tmp_path: Path) -> None:
    assert echodrop.check(f"{site}/sea.raw").condition == "intact"
    done = ran("convert", f"{site}/sea.raw", str(tmp_path / "sea.nc"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "sea.nc").is_file()
    absent = ran("convert", f"{site}/absent.raw", str(tmp_path))
    assert absent.exit_code == 1
    assert f"BadFile: {site}/absent.raw: the file does not exist" in absent.stderr


def test_a_newly_signed_url_is_the_same_file_and_its_signature_is_nowhere(
    site: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    address = site.replace("http://", "http://user:SECRET@")
    said = ""
    for signature in ("SECRET1", "SECRET2"):
        url = f"{address}/sea.raw?X-Amz-Signature={signature}"
        done = ran("convert", url, str(tmp_path))
        assert done.exit_code == 0, done.output
        said += done.output
    assert f"Skipped: {site}/sea.raw is already published" in said
    # Nothing listens there.
    refused = ran("convert", "http://127.0.0.1:9/sea.raw?X-Amz-Signature=SECRET3", str(tmp_path))
    assert refused.exit_code == 3, refused.output
    assert "Retrying" in caplog.text
    assert "SECRET" not in said + refused.output + caplog.text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"SECRET" not in path.read_bytes(), path


def test_the_model_is_found_by_one_small_request(buckets: Buckets, sample: Path) -> None:
    buckets.upload("a.raw", sample)
    seen: list[str] = []

    def plan(_number: int, line: str) -> Fault | None:
        seen.append(line)
        return None

    with fault_proxy(buckets.port, plan) as proxy:
        uri = f"s3://{buckets.inbox.bucket}/a.raw"
        assert detected_model(uri, options_for(proxy.port)) == "EK60"
    assert len(seen) == 1
