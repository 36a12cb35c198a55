"""A static host of the page, and what it shows: viewer stores by the contract, and long catalogues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import zarr

from tests.http_servers import QuietFolderHandler, folder_server

PAGE = Path(__file__).resolve().parents[2] / "gallery" / "page"
CHANNELS = ("18 kHz", "38 kHz", "120 kHz")
PINGS, SAMPLES = 3000, 1100
# The ship pinged every second, and was silent for ten minutes before this ping.
SILENCE_BEFORE, SILENCE = 2000, 600
# The receiver lost its position in these pings.
NO_FIX = (1200, 1400)
START = datetime(2026, 6, 1, 12, tzinfo=UTC)
RANGE_START, RANGE_STEP = 1.5, 0.25
NO_DATA = -9999
LEVELS = 3


class _Host(QuietFolderHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, token: str | None, **options: Any) -> None:
        self.token = token
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:  # noqa: N802 - http.server calls it
        """Refuse requests without the token, where there is one."""
        if self.token and parse_qs(urlsplit(self.path).query).get("token") != [self.token]:
            self.send_error(403)
        else:
            super().do_GET()

    def end_headers(self) -> None:
        if self.token:  # as a bucket with CORS and addresses that expire
            self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


@contextmanager
def static_host(folder: Path, token: str | None = None) -> Iterator[str]:
    """Serve a folder as any static host does; the address of its root."""
    with folder_server(folder, _Host, token=token) as address:
        yield address


def place_page(folder: Path) -> None:
    """Put the page into a folder of outputs, as its README says."""
    for part in PAGE.iterdir():
        (folder / part.name).symlink_to(part)


def write_viewer_store(path: Path) -> None:
    """A viewer store of three levels; each factor is 2, and each ping's values are its own."""
    random = np.random.default_rng(7)
    decibels = random.normal(-70, 12, (len(CHANNELS), PINGS, SAMPLES))
    decibels[:, 100:110] = np.nan
    linear = 10 ** (decibels / 10)
    pings = np.arange(PINGS)
    seconds = pings + np.where(pings >= SILENCE_BEFORE, SILENCE, 0.0)
    latitude, longitude = 60 + seconds * 1e-5, -1 + seconds * 2e-5
    for degrees in (latitude, longitude):
        degrees[slice(*NO_FIX)] = np.nan
    root = zarr.create_group(path, zarr_format=3)
    for level in range(LEVELS):
        factor = 2**level
        mean = linear.reshape(len(CHANNELS), PINGS // factor, factor, SAMPLES // factor, factor)
        with np.errstate(invalid="ignore"):
            values = 10 * np.log10(mean.mean(axis=(2, 4)))
        count = PINGS // factor
        group = root.create_group(str(level))
        shape = (len(CHANNELS), count)
        step = RANGE_STEP * factor
        when = START.timestamp() + seconds[::factor]
        arrays: dict[str, Any] = {
            "Sv": np.where(np.isnan(values), NO_DATA, values).astype("f2"),
            "range_start": np.full(shape, RANGE_START),
            "range_step": np.full(shape, step),
            "ping_time": (when * 1e9).astype("i8"),
            "latitude": latitude[::factor],
            "longitude": longitude[::factor],
        }
        for name, data in arrays.items():
            chunks = (1, 2048, 512) if data.ndim == 3 else data.shape
            array = group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=chunks)
            array[...] = data
    root.attrs["multiscales"] = [
        {
            "name": "Sv",
            "axes": ["ping", "sample"],
            "datasets": [
                {"path": str(level), "factors": [2**level] * 2} for level in range(LEVELS)
            ],
            "aggregation": "linear_mean",
            "nodata": NO_DATA,
            "dataType": "Sv",
            "channelDim": "channel",
            "verticalRef": "range",
        }
    ]
    root.attrs["echodrop"] = {
        "title": "Test transect",
        "channels": [{"label": label, "pulse": "CW 1.024 ms"} for label in CHANNELS],
        "quantity": "Sv",
        "units": "dB re 1 m-1",
        "notes": ["Not calibrated in the field."],
    }
    zarr.consolidate_metadata(str(path))


def long_catalogue(count: int) -> dict[str, Any]:
    """A catalogue of 40 cruises, one after another, on a grid of 8 by 5 places; and two failed uploads."""
    outputs = []
    for at in range(count):
        cruise, place = divmod(at, count // 40)
        begin = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(days=30 * cruise, minutes=30 * place)
        name, folder = f"D{begin:%Y%m%d-T%H%M%S}", f"SH{cruise:02d}"
        west, south = -60 + 10 * (cruise % 8) + place * 0.01, 10 + 10 * (cruise // 8)
        outputs.append(
            {
                "output": f"{folder}/{name}.zarr",
                "name": name,
                "cruise": folder,
                "model": ("EK60", "EK80")[cruise % 2],
                "first": begin.isoformat(),
                "last": (begin + timedelta(minutes=29)).isoformat(),
                "box": [west, south, west + 0.01, south + 0.2],
                "track": [[west + 0.0005 * step, south + 0.01 * step] for step in range(20)],
                "channels": ["38 kHz", "120 kHz"],
                "pings": 1800,
                "source_bytes": 1,
                "bytes": 1,
                "published_at": begin.isoformat(),
                "outcome": "Completed",
                "missing": "2 of 1,800 pings are missing." if at % 100 == 0 else None,
                "quality": ["The clock went back once."] if at % 50 == 0 else [],
                "corrections": 0,
                "thumbnail": None,
                "picture": f"{folder}/{name}.zarr.echogram.png",
                "viewer": None,
                "manifest": f"{folder}/{name}.zarr.manifest.json",
                "raw": f"s3://inbox/{folder}/{name}.raw",
            }
        )
    failed = [
        {
            "key": f"SH39/{name}.raw",
            "outcome": "BadFile",
            "reason": "The datagram at byte 4,096 is cut. Upload the file again.",
            "at": "2013-04-01T00:00:00Z",
            "report": f"SH39/{name}.zarr.failure.json",
        }
        for name in ("broken", "empty")
    ]
    return {
        "gallery_version": 1,
        "made_at": "2026-01-01T00:00:00Z",
        "outputs": outputs,
        "failed": failed,
    }


def write_catalogue(folder: Path, catalogue: dict[str, Any]) -> None:
    """Put a catalogue where the page looks for it."""
    (folder / "catalog").mkdir(exist_ok=True)
    (folder / "catalog" / "gallery.json").write_text(json.dumps(catalogue))
