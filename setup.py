"""Puts the project's folders into one package in a wheel; docs/decisions/packaging.md says why."""

import re
from pathlib import Path
from shutil import rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

INTO = "echodrop"
ROOMS = ("events", "flows", "lambda_trigger", "operations", "release", "sandbox", "watchdog")
MODULES = ("sonar_models", "task_sizes")
IMPORTS = re.compile(rf"^(\s*(?:from|import) )({'|'.join((*ROOMS, *MODULES))})\b", re.MULTILINE)


class BuildOnePackage(build_py):
    """Moves what was collected below `echodrop`, and its imports with it.

    An editable installation uses the folders where they are.
    """

    def run(self) -> None:
        """Build, then move."""
        super().run()
        if self.editable_mode:
            return
        built, package = Path(self.build_lib), Path(self.build_lib, INTO)
        for name in ROOMS:
            # What an earlier build left.
            rmtree(package / name, ignore_errors=True)
        for name in (*ROOMS, *(f"{module}.py" for module in MODULES)):
            (built / name).rename(package / name)
        for path in package.rglob("*.py"):
            text = path.read_text("utf-8")
            path.write_text(IMPORTS.sub(rf"\1{INTO}.\2", text), "utf-8")


setup(cmdclass={"build_py": BuildOnePackage})
