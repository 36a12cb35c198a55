"""The page's list of outputs, kept up to date while somebody looks at it."""

from __future__ import annotations

import gzip
import hashlib
import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from operations.catalog.places import Place
from operations.catalog.reading import CatalogState, load_state, read_changes
from operations.catalog.writing import gallery_bytes, with_time

# Seconds from one reading to the next. A reading that takes long is repeated less often, because
# listings cost money.
EVERY = 2.0
_REST = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rendered:
    """The list as it was at one time, plain and compressed."""

    etag: str
    body: bytes
    compressed: bytes


class GalleryUnreadableError(Exception):
    """The outputs can't be read."""


class LiveGallery:
    """Reads the outputs in a thread of its own, and only after a request for the list.

    Readings begin at least `every` seconds apart.
    """

    def __init__(self, place: Place, every: float = EVERY) -> None:
        self._place, self._every = place, every
        self._state: CatalogState | None = None
        self._rendered: Rendered | None = None
        self._fault = ""
        self._wanted, self._answered = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="gallery", daemon=True).start()

    def current(self, patience: float = 10.0) -> Rendered:
        """The newest list; the next one will have what is new now.

        The first reading of many outputs takes long. Then the list has those that are read already.

        Raises:
            GalleryUnreadableError: there is no list, and the outputs can't be read.
        """
        self._wanted.set()
        self._answered.wait(patience)
        if self._rendered is None:
            raise GalleryUnreadableError(self._fault or "the outputs are still being listed")
        return self._rendered

    def _run(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            began = time.monotonic()
            try:
                self._read()
                self._fault = ""
            # BLE001: it is shown, and the next request tries again.
            except Exception as error:  # noqa: BLE001
                if str(error) != self._fault:
                    log.warning("%s can't be read: %s", self._place.uri, error)
                self._fault = f"{self._place.uri} can't be read: {error}"
            self._answered.set()
            time.sleep(max(self._every, _REST * (time.monotonic() - began)))

    def _read(self) -> None:
        if self._state is None:
            self._state = load_state(self._place)
        shown = time.monotonic()

        def progress(what: str, done: int, total: int | None) -> None:
            nonlocal shown
            del done, total
            if what == "reading manifests" and time.monotonic() - shown > self._every:
                self._render()
                shown = time.monotonic()

        read_changes(self._place, self._state, progress)
        self._render()

    def _render(self) -> None:
        assert self._state is not None  # noqa: S101 - for mypy
        body = gallery_bytes(self._state)
        etag = hashlib.blake2b(body, digest_size=12).hexdigest()
        if self._rendered is None or self._rendered.etag != etag:
            body = with_time(body, datetime.now(UTC).isoformat(timespec="seconds"))
            self._rendered = Rendered(etag, body, gzip.compress(body, 1, mtime=0))
        self._answered.set()
