"""Writes the intact part of a damaged file as a new file."""

from __future__ import annotations

from pathlib import Path

from flows.walk.summary import FileSummary

COPY_BLOCK = 8 << 20


def write_whole_part(path: Path, summary: FileSummary, target: Path) -> None:
    """Write the intact part of `path` to `target`, which is then an intact file.

    Damaged bytes, whole pings without parameters, a second file after the first, and
    datagrams that echopype cannot read are left out. The order stays.

    Raises:
        ValueError: Nothing in the file can be converted (`decide` raises before that).
        OSError: `path` cannot be read or has become shorter, or `target` cannot be written.
    """
    if not summary.convertible:
        raise ValueError(f"{summary.file}: it has no intact part to write")
    with path.open("rb") as raw, target.open("wb") as part:
        for start, end in summary.whole:
            raw.seek(start)
            left = end - start
            while left > 0:
                block = raw.read(min(left, COPY_BLOCK))
                if not block:
                    raise OSError(f"{path} ends at byte {end - left}, {left} bytes too early")
                part.write(block)
                left -= len(block)
