"""Follows the log files of a folder."""

from pathlib import Path


class NewLines:
    """Reads the lines that were added to the log files of a folder."""

    def __init__(self, folder: Path, pattern: str = "*.log") -> None:
        self._folder, self._pattern = folder, pattern
        self._read_to: dict[Path, int] = {}

    def read(self) -> list[str]:
        """Return all complete lines since the last call, one file after another."""
        lines: list[str] = []
        for path in sorted(self._folder.glob(self._pattern)):
            start = self._read_to.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                complete, newline, _ = file.read().rpartition(b"\n")
            self._read_to[path] = start + len(complete) + len(newline)
            lines += complete.decode(errors="replace").split("\n")
        return lines
