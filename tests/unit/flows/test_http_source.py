"""Fetching over http: ranges, servers that know none, faults, sidecars."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows import source
from flows.locations import HttpLocation, Location, parse_location
from flows.outcomes import AccessDenied, SourceChanged, Superseded
from flows.sidecars import sidecars_beside
from flows.source_version import SourceVersion

BODY = random.Random(1).randbytes(100_000)


class Site(ThreadingHTTPServer):
    """Serves BODY as /f.raw, as told."""

    ranges = True
    etag = '"one"'
    changes_after = -1
    faults = 0
    status = 200
    requests = 0

    def at(self, name: str) -> Location:
        return parse_location(f"http://127.0.0.1:{self.server_address[1]}/{name}")


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        there = self.path in {"/f.raw", "/f.BOT"}
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream" if there else "text/html")
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("ETag", self.server.etag)
        self.end_headers()

    def do_GET(self) -> None:
        site = self.server
        site.requests += 1
        if site.faults:
            site.faults -= 1
            self.send_error(503)
            return
        if site.status != 200 or self.path != "/f.raw":
            self.send_error(site.status if site.status != 200 else 404)
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
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", site.etag)
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(source, "PART_BYTES", 30_000)
    server = Site(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_arrives_whole_and_hashed(
    site: Site,
    tmp_path: Path,
    ranges: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    site.ranges = ranges
    site.faults = 2
    told: list[int] = []
    found = source.fetch(
        site.at("f.raw"), tmp_path / "f.raw", {}, on_bytes=lambda done, _: told.append(done)
    )
    assert (tmp_path / "f.raw").read_bytes() == BODY
    assert found.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (found.size, found.version) == (len(BODY), SourceVersion("one"))
    assert told == sorted(told)
    assert told[-1] == len(BODY)


def test_another_version_is_superseded_or_no_mix(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Superseded):
        source.fetch(site.at("f.raw"), tmp_path / "f", {}, wanted=SourceVersion("zero"))
    site.changes_after = 2
    with pytest.raises(SourceChanged):
        source.fetch(site.at("f.raw"), tmp_path / "f", {})


def test_absent_and_forbidden_files_are_told_apart(site: Site, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        source.fetch(site.at("g.raw"), tmp_path / "g", {})
    site.status = 403
    with pytest.raises(AccessDenied, match="403"):
        source.fetch(site.at("f.raw"), tmp_path / "f", {})


def test_a_page_in_place_of_a_sidecar_is_none(site: Site) -> None:
    found = sidecars_beside(site.at("f.raw"), "EK60", {}).sidecars
    place = site.at("f.BOT")
    assert isinstance(place, HttpLocation)
    assert [(sidecar.kind, sidecar.location) for sidecar in found] == [("bot", place)]


def test_the_current_version_takes_one_request_without_a_body(site: Site) -> None:
    now = source.current_source(site.at("f.raw"), {})
    assert now is not None
    assert (now.version, now.size) == (SourceVersion("one"), len(BODY))
    assert site.requests == 0
