"""The gallery's HTTP server on this machine: the page, and below `/data/` the outputs, read only.

It reads with the credentials of the user who started it. So it listens on 127.0.0.1 alone, answers only requests
that name this machine as their host (a page elsewhere can make a browser ask, by DNS rebinding), allows
no other origin to read, and asks for a token, because other users of the machine reach it, too. The address of the
page has the token, which the browser then keeps as a cookie.
"""

from __future__ import annotations

import io
import json
import mimetypes
import re
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from gallery.live import EVERY, GalleryUnreadableError, LiveGallery
from operations.catalog.places import ByteRange, FileContent, FolderPlace, Place, RangeInvalidError
from operations.catalog.writing import GALLERY

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
DATA = "data/"
CONFIG = json.dumps({"root": DATA, "live": True}).encode()

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
# Data is not run by a browser as a part of the page.
_KINDS_OF_DATA = {".json": "application/json", ".png": "image/png", ".csv": "text/csv"}
_OTHER = "application/octet-stream"
_BLOCK = 256 * 1024
# Hidden files are not outputs, but a Zarr store of format 2 has these.
_ZARR_2 = {".zarray", ".zattrs", ".zgroup", ".zmetadata"}


class GalleryServer(ThreadingHTTPServer):
    """Serves one output bucket or folder until it is shut down.

    Args:
        port: 0 for a free one.
        token: what a request must have; a random one by default, none if it is empty.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(
        self,
        place: Place,
        port: int = 0,
        page: Path = PAGE,
        every: float = EVERY,
        token: str | None = None,
    ) -> None:
        super().__init__((HOST, port), _Handler)
        self.place, self.page, self.live = place, FolderPlace(page), LiveGallery(place, every)
        self.token = secrets.token_urlsafe(16) if token is None else token
        # Cookies are shared by all ports of a host.
        self.cookie = f"echodrop-{self.server_port}={self.token}"
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        """The page's address, with the token."""
        query = f"?token={self.token}" if self.token else ""
        return f"http://{HOST}:{self.server_port}/{query}"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in socketserver
        """A browser that goes away is not an error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: GalleryServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # A connection that a browser keeps open and does not use.
    timeout: ClassVar[float] = 120.0
    _has_token = False

    def do_GET(self) -> None:
        """Answer one request."""
        address = urlsplit(self.path)
        path = unquote(address.path).removeprefix("/")
        given = parse_qs(address.query).get("token", [""])[-1]
        self._has_token = _is_same(given, self.server.token)
        hidden = {part for part in path.split("/") if part.startswith(".")}
        if self.headers.get("Host") not in self.server.hosts:
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers only this machine")
        elif not (self._has_token or self._has_cookie()):
            why = "open the address that `echodrop gallery` has printed; it has a token"
            self._refuse(HTTPStatus.FORBIDDEN, why)
        elif hidden - _ZARR_2:
            self._refuse(HTTPStatus.NOT_FOUND, f"{path}: no such file")
        elif path == "config.json":
            self._send(FileContent(io.BytesIO(CONFIG), "config", 0, len(CONFIG), len(CONFIG)), path)
        elif path == DATA + GALLERY:
            self._send_list(path)
        elif path.startswith(DATA):
            self._send_file(self.server.place, path.removeprefix(DATA), is_data=True)
        else:
            self._send_file(self.server.page, path or "index.html")

    do_HEAD = do_GET  # noqa: N815 - as in http.server

    def _has_cookie(self) -> bool:
        given = self.headers.get("Cookie", "").split(";")
        return any(_is_same(each.strip(), self.server.cookie) for each in given)

    def end_headers(self) -> None:
        """Add what all answers have."""
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        if self._has_token and self.server.token:
            cookie = f"{self.server.cookie}; HttpOnly; SameSite=Strict; Path=/"
            self.send_header("Set-Cookie", cookie)
        super().end_headers()

    def _send_list(self, path: str) -> None:
        try:
            found = self.server.live.current()
        except GalleryUnreadableError as error:
            self._refuse(HTTPStatus.BAD_GATEWAY, str(error))
            return
        coding = ""
        body: io.BytesIO | None = None
        if self._known() != found.etag:
            coding = "gzip" if "gzip" in self.headers.get("Accept-Encoding", "") else ""
            body = io.BytesIO(found.compressed if coding else found.body)
        length = len(body.getbuffer()) if body else 0
        self._send(FileContent(body, found.etag, 0, length, length), path, coding=coding)

    def _send_file(self, place: Place, path: str, *, is_data: bool = False) -> None:
        try:
            part = self._range()
            found = place.open(path, part, self._known())
            condition = self.headers.get("If-Range")
            if found and part and condition and condition.strip('"') != found.etag:
                _close(found)
                part, found = None, place.open(path)
        except RangeInvalidError:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"{path}: no such range")
        except (ClientError, BotoCoreError) as error:
            self._refuse(HTTPStatus.BAD_GATEWAY, f"{path}: {error}")
        else:
            if found is None:
                self._refuse(HTTPStatus.NOT_FOUND, f"{path}: no such file")
            else:
                self._send(found, path, is_part=part is not None, is_data=is_data)

    def _known(self) -> str | None:
        """The version that the browser has; S3 takes one, so a list of several is ignored."""
        text = self.headers.get("If-None-Match", "").removeprefix("W/").strip('"')
        return text if text and '"' not in text else None

    def _range(self) -> ByteRange | None:
        """The requested range; anything but one range of bytes is ignored, as HTTP allows."""
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        if not found or found[0] == "bytes=-" or (found[1] and found[2] and int(found[2]) < int(found[1])):  # fmt: skip
            return None
        if not found[1]:
            return -int(found[2]), None
        return int(found[1]), int(found[2]) if found[2] else None

    def _send(
        self,
        found: FileContent,
        path: str,
        *,
        is_part: bool = False,
        is_data: bool = False,
        coding: str = "",
    ) -> None:
        suffix = Path(path).suffix.lower()
        kind = (_KINDS_OF_DATA.get(suffix) if is_data else mimetypes.guess_type(path)[0]) or _OTHER
        if found.body is None:
            self.send_response(HTTPStatus.NOT_MODIFIED)
        else:
            self.send_response(HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK)
            self.send_header("Content-Length", str(found.length))
            self.send_header("Content-Type", kind)
        if is_part and found.body is not None:
            last = found.start + found.length - 1
            self.send_header("Content-Range", f"bytes {found.start}-{last}/{found.size}")
        if coding:
            self.send_header("Content-Encoding", coding)
        self.send_header("ETag", f'"{found.etag}"')
        self.send_header("Accept-Ranges", "bytes")
        # The browser keeps it, and asks whether it has changed.
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if found.body is not None and self.command == "GET":
            left = found.length
            while left and (block := found.body.read(min(left, _BLOCK))):
                self.wfile.write(block)
                left -= len(block)
            # The browser must see that the file ended early.
            self.close_connection = self.close_connection or bool(left)
        _close(found)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        body = f"{why}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in http.server
        """Requests are not printed."""


def _is_same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _close(found: FileContent) -> None:
    if found.body is not None:
        found.body.close()
