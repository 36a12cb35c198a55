"""Puts the project's folders into one package in a wheel; docs/decisions/packaging.md says why."""

import re
from pathlib import Path
from shutil import rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

INTO = "echodrop"


class BuildOnePackage(build_py):
    """Moves the other packages and modules below `echodrop`, and their imports with them.

    An editable installation uses the folders where they are.
    """

    def run(self) -> None:
        """Build, then move."""
        super().run()
        if self.editable_mode:
            return
        built, package = Path(self.build_lib), Path(self.build_lib, INTO)
        folders = {name.partition(".")[0] for name in self.distribution.packages} - {INTO}
        modules = self.distribution.py_modules
        for name in folders:
            # What an earlier build left.
            rmtree(package / name, ignore_errors=True)
        for name in (*folders, *(f"{module}.py" for module in modules)):
            (built / name).rename(package / name)
        names = "|".join((*folders, *modules))
        imports = re.compile(rf"^(\s*(?:from|import) )({names})\b", re.MULTILINE)
        for path in package.rglob("*.py"):
            text = path.read_text("utf-8")
            path.write_text(imports.sub(rf"\1{INTO}.\2", text), "utf-8")


setup(cmdclass={"build_py": BuildOnePackage})
