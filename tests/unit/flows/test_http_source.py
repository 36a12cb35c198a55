"""Fetching over http: ranges, servers without ranges, faults, sidecars."""

from __future__ import annotations

import hashlib
import logging
import random
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows import convert_raw_sonar as flow_module
from flows.conversion import convert
from flows.core.locations import HttpLocation
from flows.core.outcomes import AccessDenied, SourceChanged, Superseded, TransientFault
from flows.core.source_version import SourceVersion
from flows.publishing.publication import Published, Skipped
from flows.stores import download as source
from flows.stores.request import ConversionRequest
from flows.stores.sidecars import find_sidecars
from flows.stores.sources import current_source
from tests.conversions import request_for
from tests.http_servers import folder_server, serving

BODY = random.Random(1).randbytes(100_000)


class Site(ThreadingHTTPServer):
    """Serves BODY as /f.raw, according to its attributes."""

    ranges = True
    sized = True
    etag: str | None = '"one"'
    changes_after = -1
    faults = 0
    status = 200
    head_status = 200
    # For paths other than the raw file's.
    beside_status = 200
    token: str | None = None
    requests = 0

    def at(self, name: str) -> HttpLocation:
        return HttpLocation(f"http://127.0.0.1:{self.server_address[1]}/{name}")


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        site = self.server
        there = self.path.partition("?")[0] in {"/f.raw", "/f.BOT", "/a%20%231%3F.bot"}
        if site.token is not None and self.headers.get("Authorization") != site.token:
            self.send_error(401)
        elif site.head_status != 200 or (site.beside_status != 200 and self.path != "/f.raw"):
            self.send_error(site.head_status if site.head_status != 200 else site.beside_status)
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream" if there else "text/html")
            if site.sized:
                self.send_header("Content-Length", str(len(BODY)))
            if site.etag is not None:
                self.send_header("ETag", site.etag)
            self.end_headers()

    def do_GET(self) -> None:
        site = self.server
        site.requests += 1
        if site.faults:
            site.faults -= 1
            self.send_error(503)
            return
        if site.status != 200 or self.path != "/f.raw":
            default = site.beside_status if site.beside_status != 200 else 404
            self.send_error(site.status if site.status != 200 else default)
            return
        if 0 <= site.changes_after < site.requests:
            site.etag = '"two"'
        wanted = self.headers.get("Range")
        if site.ranges and wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            part = BODY[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(BODY)}")
        else:
            part = BODY
            self.send_response(200)
        if site.sized:
            self.send_header("Content-Length", str(len(part)))
        if site.etag is not None:
            self.send_header("ETag", site.etag)
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(source, "PART_BYTES", 30_000)
    server = Site(("127.0.0.1", 0), _Handler)
    with serving(server):
        yield server


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_arrives_whole_and_hashed(
    site: Site,
    tmp_path: Path,
    ranges: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    site.ranges = ranges
    site.faults = 2
    reported: list[int] = []
    found = source.fetch(
        site.at("f.raw"), tmp_path / "f.raw", {}, on_bytes=lambda done, _: reported.append(done)
    )
    assert (tmp_path / "f.raw").read_bytes() == BODY
    assert found.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (found.size, found.version) == (len(BODY), SourceVersion("one"))
    assert reported == sorted(reported)
    assert reported[-1] == len(BODY)


def test_another_version_is_superseded_or_no_mix(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Superseded):
        source.fetch(site.at("f.raw"), tmp_path / "f", {}, wanted=SourceVersion("zero"))
    site.changes_after = 2
    with pytest.raises(SourceChanged):
        source.fetch(site.at("f.raw"), tmp_path / "f", {})


def test_a_file_without_a_version_comes_in_one_response(site: Site, tmp_path: Path) -> None:
    """Two ranges could come from two versions."""
    site.etag = None
    found = source.fetch(site.at("f.raw"), tmp_path / "f", {})
    assert (tmp_path / "f").read_bytes() == BODY
    assert (found.size, found.version, site.requests) == (len(BODY), SourceVersion(), 2)


def test_a_file_without_a_length_is_refused(site: Site, tmp_path: Path) -> None:
    site.sized = site.ranges = False
    with pytest.raises(AccessDenied, match="sends no length"):
        source.fetch(site.at("f.raw"), tmp_path / "f", {})


def test_missing_and_forbidden_files_have_different_outcomes(site: Site, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        source.fetch(site.at("g.raw"), tmp_path / "g", {})
    site.status = 403
    with pytest.raises(AccessDenied, match="403"):
        source.fetch(site.at("f.raw"), tmp_path / "f", {})


def test_a_page_instead_of_a_sidecar_is_ignored(site: Site) -> None:
    found, notes = find_sidecars(site.at("f.raw"), "EK60", {})
    assert [(sidecar.kind, sidecar.location) for sidecar in found] == [("bot", site.at("f.BOT"))]
    assert notes == []


def test_a_sidecar_s_name_is_escaped_as_the_raw_file_s_is(site: Site) -> None:
    (found,), _ = find_sidecars(site.at("a%20%231%3F.raw?key=7"), "EK60", {})
    assert found.location == site.at("a%20%231%3F.bot?key=7")


def test_sidecars_are_requested_with_the_raw_file_s_headers(site: Site) -> None:
    site.token = "Bearer me"
    options = {"client_kwargs": {"headers": {"Authorization": site.token}}}
    assert len(find_sidecars(site.at("f.raw"), "EK60", options)[0]) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_search_for_sidecars_is_noted(site: Site, status: int) -> None:
    site.beside_status = status
    found, (note,) = find_sidecars(site.at("f.raw"), "EK60", {})
    assert found == []
    assert note.startswith("did not look for .bot and .idx next to the file: ")
    assert f"access denied: HTTP status {status}" in note


def test_a_fault_of_the_server_does_not_mean_no_sidecars(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib3.Retry.get_backoff_time", lambda _: 0)
    site.beside_status = 503
    with pytest.raises(TransientFault, match="503"):
        find_sidecars(site.at("f.raw"), "EK60", {})


def test_the_current_version_takes_one_request_without_a_body(site: Site) -> None:
    now = current_source(site.at("f.raw"), {})
    assert now is not None
    assert (now.version, now.size) == (SourceVersion("one"), len(BODY))
    assert site.requests == 0


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_server_without_head_gets_a_request_for_the_first_byte(
    site: Site,
    status: int,
    ranges: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    site.head_status, site.ranges = status, ranges
    now = current_source(site.at("f.raw"), {})
    assert now is not None
    assert (now.version, now.size) == (SourceVersion("one"), len(BODY))
    assert site.requests == 1


@pytest.mark.parametrize("status", [404, 410])
def test_only_a_missing_file_is_none(site: Site, status: int) -> None:
    site.head_status = status
    assert current_source(site.at("f.raw"), {}) is None


def test_a_forbidden_source_is_not_none(site: Site) -> None:
    site.head_status = site.status = 403
    with pytest.raises(AccessDenied, match="403"):
        current_source(site.at("f.raw"), {})


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, None),
        ({"head_status": 405, "ranges": False, "sized": False}, "unknown size"),
        ({"sized": False}, "unknown size"),
        ({"head_status": 404}, None),
    ],
)
def test_a_file_of_unknown_size_waits_for_an_operator(
    site: Site, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], waits: str | None
) -> None:
    for name, value in changes.items():
        setattr(site, name, value)
    paused: list[str] = []
    monkeypatch.setattr(flow_module, "get_run_logger", lambda: logging.getLogger("test"))
    monkeypatch.setattr(flow_module, "pause_flow_run", lambda **more: paused.append(more["key"]))
    request = ConversionRequest(
        raw_file=site.at("f.raw").url, sonar_model="EK60", output_path="out"
    )
    flow_module._wait_for_operator(request, len(BODY))
    assert paused == (["size"] if waits else [])
    flow_module._wait_for_operator(request, len(BODY) - 1)
    assert len(paused) == (0 if changes.get("head_status") == 404 else 2 if waits else 1)


@pytest.fixture
def shelf(real_data: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of a folder on a plain web server with a raw file and its bottom file."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for suffix in ("raw", "bot"):
        shutil.copyfile(real_data / f"ek60/D20070724-T042400.{suffix}", folder / f"D 1#?.{suffix}")
    with folder_server(folder) as address:
        yield address


def test_a_file_on_a_web_server_is_converted_with_its_sidecar(shelf: str, tmp_path: Path) -> None:
    raw = {"raw_file": f"{shelf}D%201%23%3F.raw"}
    request = request_for(tmp_path, tmp_path / "out", verify="full", **raw)
    done = convert(request)
    assert isinstance(done, Published)
    assert done.output == str(tmp_path / "out" / "D 1#?.zarr")
    assert done.manifest["source"]["uri"] == request.raw_file
    assert [sidecar["uri"] for sidecar in done.manifest["sidecars"]] == [f"{shelf}D%201%23%3F.bot"]
    assert done.manifest["missing"] is None
    assert isinstance(convert(request), Skipped)
