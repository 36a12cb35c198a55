"""Writes the distribution's name and version where importlib.metadata finds them.

The image holds a part of the project, not its wheel, and a manifest names the
version that converted.
"""

import sys
import tomllib
from pathlib import Path


def main(pyproject: Path, folder: Path) -> None:
    """Write `<name>-<version>.dist-info/METADATA` into a folder of the import path."""
    project = tomllib.loads(pyproject.read_text())["project"]
    name, version = project["name"], project["version"]
    target = folder / f"{name}-{version}.dist-info"
    target.mkdir()
    (target / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
