"""Writes the distribution's name and version for importlib.metadata.

The image has only some packages of the project, not its wheel. A manifest contains
the version that converted the file.
"""

import sys
import tomllib
from pathlib import Path


def main(pyproject: Path, folder: Path) -> None:
    """Write `<name>-<version>.dist-info/METADATA` to a folder on the import path."""
    project = tomllib.loads(pyproject.read_text())["project"]
    name, version = project["name"], project["version"]
    target = folder / f"{name}-{version}.dist-info"
    target.mkdir()
    (target / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
