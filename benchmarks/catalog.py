"""Measures the catalogue of many outputs: the first one, one after ten new outputs, and one without news.

    python -m benchmarks.catalog [--outputs 10000] [--milliseconds 30]

The outputs are manifests of 4.5 KB in 20 cruises, each with the names of three products, in a folder whose requests
take a round trip as S3's do: a listing one for each thousand names, 32 requests at a time. The baseline reads
all manifests as JSON in the same way, and does nothing else. Each step runs in a separate process.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from benchmarks.measuring.measured import called
from operations.catalog.places import ByteRange, FileContent, FolderListing, FolderPlace
from operations.catalog.reading import load_state, read_changes
from operations.catalog.writing import gallery_bytes, update_catalog
from operations.clients.parallel import in_parallel

CHANNELS = [
    f"GPT {kilohertz:>3} kHz 00907205{kilohertz:04} 1 ES{kilohertz}"
    for kilohertz in (18, 38, 120, 200)
]


class DistantPlace(FolderPlace):
    """A folder behind a round trip; it counts requests."""

    def __init__(self, root: Path, seconds: float) -> None:
        super().__init__(root)
        self._seconds, self.requests = seconds, Counter[str]()

    def list(self, folder: str) -> FolderListing:
        """One request for each thousand names."""
        found = super().list(folder)
        pages = math.ceil((len(found.files) + len(found.folders)) / 1000) or 1
        self._wait("list", pages)
        return found

    def open(
        self, path: str, part: ByteRange | None = None, known: str | None = None
    ) -> FileContent | None:
        """One request."""
        self._wait("get")
        return super().open(path, part, known)

    def write(self, path: str, body: bytes, kind: str, replaces: str | None = None) -> str:
        """One request."""
        self._wait("put")
        return super().write(path, body, kind, replaces)

    def delete(self, paths: Iterable[str]) -> None:
        """One request."""
        self._wait("delete")
        super().delete(paths)

    def _wait(self, what: str, times: int = 1) -> None:
        self.requests[what] += times
        time.sleep(self._seconds * times)


def manifest(number: int) -> bytes:
    """A manifest with the size of a real one."""
    track = [
        [round(3 + number / 1e4 + n / 100, 5), round(51 + math.sin(n / 6) / 9, 5)]
        for n in range(40)
    ]
    day = f"2025-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}"
    fact: dict[str, Any] = {"name": "fact", "threshold": None, "channels": [], "alarm": False}
    sentence = "a sentence about the recording"
    quality = [fact | {"value": n, "sentence": sentence} for n in range(9)]
    quality[0]["alarm"] = True
    values = {
        "manifest_version": 1,
        "published_at": f"{day}T12:00:00+00:00",
        "source": {"uri": f"s3://inbox/cruise/{number}.raw", "bytes": 100_000_000},
        "sonar": {"model": "EK60"},
        "output": {"bytes": 44_000_000},
        "contents": {
            "dimensions": {
                "Sonar/Beam_group1": {"channel": 4, "ping_time": 9000, "range_sample": 2600}
            },
            "channels": CHANNELS,
            "frequencies": dict.fromkeys(CHANNELS, 38000.0),
            "pings": {"Sonar/Beam_group1": 9000},
            "time_range": {"first": f"{day}T00:00:00Z", "last": f"{day}T01:00:00Z"},
            "position_box": {
                "west": track[0][0],
                "south": 50.8,
                "east": track[-1][0],
                "north": 51.2,
            },
            "positions": {"track": track},
        },
        "missing": None,
        "corrections": [{"what": "a correction", "count": 9000}] * 5,
        "quality": quality,
    }
    return json.dumps(values, indent=1).encode()


def add_outputs(root: Path, numbers: Iterable[int]) -> None:
    """Add the manifests and names of products."""
    for number in numbers:
        output = root / f"cruise-{number % 20:02}/D{number:06}.zarr"
        output.mkdir(parents=True, exist_ok=True)
        output.with_name(f"{output.name}.manifest.json").write_bytes(manifest(number))
        for product in (".echogram.png", ".thumbnail.png", ".products.json"):
            output.with_name(output.name + product).touch()


def step(what: str, root: str, seconds: float) -> dict[str, Any]:
    """Run one step in this process."""
    place = DistantPlace(Path(root), seconds)
    began = time.perf_counter()
    if what == "baseline":
        folders = list(in_parallel(place.list, place.list("").folders))
        names = [path for each in folders for path in each.files if path.endswith("manifest.json")]
        found = sum(
            1 for body in in_parallel(lambda path: _body(place, path), names) if json.loads(body)
        )
    elif what == "page":
        state = load_state(place)
        read_changes(place, state, lambda *_: None)
        found = len(gallery_bytes(state))
    else:
        found = update_catalog(place).outputs
    seconds = time.perf_counter() - began
    return {"found": found, "requests": dict(place.requests), "seconds": seconds}


def _body(place: FolderPlace, path: str) -> bytes:
    found = place.open(path)
    if found is None or found.body is None:
        raise FileNotFoundError(path)
    with found.body as body:
        return body.read()


def main(outputs: int = 10_000, milliseconds: float = 30) -> None:
    """Measure each step and print it with its ratio to the baseline."""
    with tempfile.TemporaryDirectory(prefix="catalog-") as name:
        root = Path(name) / "outputs"
        root.mkdir()
        add_outputs(root, range(outputs))
        baseline = 0.0
        for what in ("baseline", "first", "ten new", "no news", "page"):
            if what == "ten new":
                add_outputs(root, range(outputs, outputs + 10))
            found, measured = called(step, what, str(root), milliseconds / 1000)
            baseline = baseline or found["seconds"]
            print(
                f"{what:>9}: {found['seconds']:6.2f} s, x{found['seconds'] / baseline:.2f} of the baseline,"
                f" processor {measured.processor:.1f} s, peak {measured.megabytes:.0f} MB,"
                f" requests {found['requests']}, {found['found']:,}"
            )


if __name__ == "__main__":
    typer.run(main)
