"""`echodrop gallery`: the page, the outputs by ranges, and a list that follows what happens."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3 import BaseHTTPResponse

from gallery import live
from gallery.server import GalleryServer
from operations.catalog.places import FolderListing, FolderPlace, Place
from operations.catalog.writing import update_catalog
from sandbox.parts.waiting import wait_until
from tests.unit.operations.conftest import put

Get = Callable[..., BaseHTTPResponse]
ODD = "cruise a/%41 b#?&+é.zarr/c/0"


@pytest.fixture
def get(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """Request a path, as it is, of a gallery of the outputs."""
    page = tmp_path_factory.mktemp("page")
    (page / "index.html").write_text("<html>")
    (page / "page.js").write_text("1;")
    with GalleryServer(place, page=page, every=0.05) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, retries=False)

        def call(path: str, method: str = "GET", **headers: str) -> BaseHTTPResponse:
            named = {"Cookie": f"other=1; {server.cookie}"}
            named |= {name.replace("_", "-"): value for name, value in headers.items()}
            return pool.urlopen(method, path, headers=named, decode_content=False, timeout=20)

        yield call
        server.shutdown()


def test_the_page_and_its_settings(get: Get) -> None:
    assert json.loads(get("/config.json").data) == {"root": "data/", "live": True}
    assert get("/").headers["Content-Type"] == "text/html"
    script = get("/page.js?x=1")
    assert (script.status, script.data) == (200, b"1;")
    assert script.headers["Content-Type"] == "text/javascript"
    known = get("/page.js", If_None_Match=script.headers["ETag"])
    assert (known.status, known.data) == (304, b"")


def test_outputs_by_ranges(place: Place, get: Get) -> None:
    body = bytes(range(256)) * 8
    place.write("a.zarr/c/0", body, "application/octet-stream")
    whole = get("/data/a.zarr/c/0")
    assert (whole.status, whole.data, whole.headers["Accept-Ranges"]) == (200, body, "bytes")
    for asked, status, expected, span in (
        ("bytes=0-0", 206, body[:1], "0-0"),
        ("bytes=10-19", 206, body[10:20], "10-19"),
        ("bytes=2000-", 206, body[2000:], "2000-2047"),
        ("bytes=2000-9999", 206, body[2000:], "2000-2047"),
        ("bytes=-5", 206, body[-5:], "2043-2047"),
        ("bytes=0-1,5-6", 200, body, None),
        ("bytes=5-4", 200, body, None),
        ("pings=0-1", 200, body, None),
    ):
        part = get("/data/a.zarr/c/0", Range=asked)
        assert (part.status, part.data) == (status, expected), asked
        assert part.headers.get("Content-Range") == (span and f"bytes {span}/2048")
    assert get("/data/a.zarr/c/0", Range="bytes=4000-").status == 416
    assert get("/data/a.zarr/c/0", If_None_Match=whole.headers["ETag"]).status == 304
    # A part of another version would not fit to what the browser has.
    other = get("/data/a.zarr/c/0", Range="bytes=0-9", If_Range='"another"')
    assert (other.status, other.data) == (200, body)
    head = get("/data/a.zarr/c/0", "HEAD")
    assert (head.status, head.headers["Content-Length"], head.data) == (200, "2048", b"")
    assert get("/data/a.zarr").status == 404
    assert get("/data/a.zarr/c/1").status == 404
    assert get("/data/a.zarr/c/0", "PUT").status == 501


def test_names_with_any_character_and_kinds_that_no_browser_runs(place: Place, get: Get) -> None:
    place.write(ODD, b"chunk", "application/octet-stream")
    place.write("a.html", b"<script>", "text/html")
    place.write("a.zarr/zarr.json", b"{}", "application/json")
    assert get("/data/cruise%20a/%2541%20b%23%3F%26%2B%C3%A9.zarr/c/0").data == b"chunk"
    assert get("/data/a.html").headers["Content-Type"] == "application/octet-stream"
    assert get("/data/a.zarr/zarr.json").headers["Content-Type"] == "application/json"


def test_nothing_outside_of_the_outputs_and_no_other_host(
    tmp_path: Path, place: Place, get: Get
) -> None:
    place.write("inside/a.txt", b"inside", "text/plain")
    outside = tmp_path.parent / f"{tmp_path.name}-outside.txt"
    outside.write_text("secret")
    (tmp_path / "link.txt").symlink_to(outside)
    for hidden in (".hidden", ".aws/credentials"):
        place.write(hidden, b"secret", "text/plain")
    place.write("a.zarr/.zmetadata", b"{}", "application/json")
    name = outside.name
    for path in (
        f"/data/../{name}",
        f"/data/inside/../../{name}",
        f"/data/%2e%2e/{name}",
        f"/data/..%2f{name}",
        f"/data//{outside}",
        f"/data/%2F{outside}",
        f"/../../{name}",
        "/data/link.txt",
        "/server.py",
        "/data/a%00b",
        "/data/.hidden",
        "/data/.aws/credentials",
    ):
        answer = get(path)
        assert (answer.status, b"secret" in answer.data) == (404, False), path
    assert get("/data/inside/a.txt").data == b"inside"
    assert get("/data/a.zarr/.zmetadata").data == b"{}"
    answer = get("/data/inside/a.txt", Host="elsewhere.example")
    assert (answer.status, b"inside" in answer.data) == (403, False)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_another_user_of_the_machine_does_not_have_the_token(place: Place) -> None:
    place.write("a.txt", b"inside", "text/plain")
    with GalleryServer(place) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root, _, token = server.url.partition("?token=")
        assert len(token) > 20
        for path in ("", "data/a.txt", "config.json", "data/a.txt?token=", "data/a.txt?token=é"):
            for cookie in ("", f"echodrop-{server.server_port}=", f"other={token}"):
                answer = urllib3.request("GET", root + path, headers={"Cookie": cookie})
                assert (answer.status, b"inside" in answer.data) == (403, False)
                assert "Set-Cookie" not in answer.headers
        opened = urllib3.request("GET", server.url)
        assert opened.status == 200
        cookie, *attributes = opened.headers["Set-Cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict"} <= set(attributes)
        assert opened.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        read = urllib3.request("GET", f"{root}data/a.txt", headers={"Cookie": cookie})
        assert read.data == b"inside"
        server.shutdown()


def names(get: Get) -> set[str]:
    return {each["name"] for each in json.loads(get("/data/catalog/gallery.json").data)["outputs"]}


def test_the_list_follows_new_and_removed_outputs(place: Place, get: Get) -> None:
    put(place, "a.zarr")
    assert names(get) == {"a"}
    put(place, "b.zarr")
    wait_until(lambda: names(get) == {"a", "b"}, 20, "the new output")
    place.write("b.zarr.thumbnail.png", b"png", "image/png")
    path = "/data/catalog/gallery.json"
    wait_until(lambda: b"b.zarr.thumbnail.png" in get(path).data, 20, "its thumbnail")
    found = get(path, Accept_Encoding="gzip")
    assert json.loads(gzip.decompress(found.data))["outputs"]
    assert get(path, If_None_Match=found.headers["ETag"]).status == 304
    place.delete(["a.zarr.manifest.json"])
    wait_until(lambda: names(get) == {"b"}, 20, "the removal")
    # The server writes nothing.
    assert place.open("catalog/gallery.json") is None


class SlowPlace:
    """Counts listings, and takes its time to read."""

    def __init__(self, place: Place) -> None:
        self._place, self.listings, self.reads = place, 0, 0
        self.uri = place.uri

    def __getattr__(self, name: str) -> Any:
        return getattr(self._place, name)

    def list(self, folder: str) -> FolderListing:
        self.listings += 1
        return self._place.list(folder)

    def open(self, path: str, *known: Any) -> Any:
        self.reads += path.endswith(".manifest.json")
        time.sleep(0.05 * path.endswith(".manifest.json"))
        return self._place.open(path, *known)


def test_a_long_first_reading_shows_what_is_read_and_an_unwatched_list_costs_nothing(
    tmp_path: Path,
) -> None:
    place = FolderPlace(tmp_path)
    for number in range(200):
        put(place, f"{number}.zarr")
    slow: Any = SlowPlace(place)
    shown = live.LiveGallery(slow, every=0.05)
    time.sleep(0.2)
    assert slow.listings == 0
    first = len(json.loads(shown.current().body)["outputs"])
    assert 0 < first < 200
    wait_until(lambda: len(json.loads(shown.current().body)["outputs"]) == 200, 30, "all of them")
    read, listings = slow.reads, slow.listings
    assert read == 200
    time.sleep(0.5)
    assert slow.listings <= listings + 2
    # What the stored catalogue has is not read again.
    update_catalog(place)
    again: Any = SlowPlace(place)
    assert len(json.loads(live.LiveGallery(again).current().body)["outputs"]) == 200
    assert again.reads == 0


def test_a_bucket_that_cannot_be_read_is_named(
    get: Get, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: str) -> FolderListing:
        raise PermissionError(f"planned {folder}")

    monkeypatch.setattr(place, "list", refuse)
    answer = get("/data/catalog/gallery.json")
    assert (answer.status, b"planned" in answer.data) == (502, True)
    monkeypatch.undo()
    put(place, "a.zarr")
    wait_until(lambda: get("/data/catalog/gallery.json").status == 200, 20, "the list")
