"""The whole part of a damaged file, as a file of its own."""

from __future__ import annotations

from pathlib import Path

from flows.preflight.summary import FileSummary

COPY_BLOCK = 8 << 20


def write_whole_part(path: Path, summary: FileSummary, target: Path) -> None:
    """Write what is whole of `path` to `target`, which is then an intact file.

    Left out are damaged bytes, whole pings whose parameters are lost, a second
    file behind the first, and datagrams that echopype cannot take. The order is
    the file's own.

    Raises:
        ValueError: Nothing in the file can be converted (`decide` says so first).
        OSError: `path` cannot be read, is shorter than it was, or `target` not be written.
    """
    if not summary.convertible:
        raise ValueError(f"{summary.file}: nothing whole to write")
    with path.open("rb") as raw, target.open("wb") as part:
        for start, end in summary.whole:
            raw.seek(start)
            left = end - start
            while left > 0:
                block = raw.read(min(left, COPY_BLOCK))
                if not block:
                    raise OSError(f"{path} ends at byte {end - left}, {left} bytes before it did")
                part.write(block)
                left -= len(block)
