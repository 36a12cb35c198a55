"""Prints the structure of the code: rooms and arrows, sizes, class names and words.

    python -m checks.structure [FOLDER]

A room is a folder; its modules may import their own room and the rooms below it. Exits
with 1 if an arrow points upward, a folder has too many modules, a module has too many
lines, two classes have one name, or a text has a word that is not plain English.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

# From the bottom to the top. Rooms of one line do not import each other.
ROOMS = """
    sonar_models
    task_sizes
    lambda_trigger.decisions
    lambda_trigger.clients
    lambda_trigger
    events
    flows.core
    flows.stores
    flows.walk flows.encoding
    flows.rawfile
    flows.publishing
    flows.failures flows.products
    flows.runs flows.deployment
    flows
    watchdog
    operations.findings
    operations.clients
    operations.inventory
    operations.sending
    operations.console
    operations.catalog
    operations.backfill operations.replay operations.reconcile operations.draw operations.rules
    operations.status
    operations
    gallery
    sandbox.stack sandbox.sea
    sandbox.parts
    sandbox.aws sandbox.prefect
    sandbox
    release
    echodrop
    image checks setup
    benchmarks.measuring
    benchmarks
"""
MODULES_A_FOLDER = 16
LINES_A_MODULE = 250
# The cure is a subject, a verb, and the field's word (docs/glossary.md).
WORDS = re.compile(
    r"(?<![a-z])(told|mend(s|ed|ing)?|whoever|anew|heir|bears|by and by|asked for|is no number)(?![a-z])",
    re.IGNORECASE,
)
# A name that others may still send, or type, for a release.
FORMER_NAME = "# former name"
TEXTS = ("*.py", "*.md", "*.toml", "*.yaml", "*.in", "Makefile", "Dockerfile")
NOT_OURS = {".venv", ".echodrop", ".git", "build"}
# The changelog keeps the words of its time; this module has the list.
WITH_ANY_WORD = {"CHANGELOG.md", "checks/structure.py"}


def main(root: Path) -> int:
    """Print the structure; returns the exit code."""
    modules = {_name(path, root): path for path in _files(root, "*.py") if not _is_test(path, root)}
    problems = [
        *_arrows(modules),
        *_sizes(root, modules),
        *_classes(modules),
        *_words(root),
    ]
    for problem in problems:
        print(f"FAIL  {problem}", file=sys.stderr)  # noqa: T201 - a script
    return 1 if problems else 0


def _arrows(modules: dict[str, Path]) -> Iterator[str]:
    """Count the arrows between rooms; a problem for each that points upward or sideways."""
    levels = {room: n for n, line in enumerate(ROOMS.strip().splitlines()) for room in line.split()}
    arrows: Counter[tuple[str, str]] = Counter()
    for name, path in modules.items():
        if not (room := _room(name, levels)):
            yield f"{name} is in no room"
            continue
        for imported in _imports(path, modules):
            other = _room(imported, levels)
            if other != room:
                arrows[room, other] += 1
                if levels.get(other, -1) >= levels[room]:
                    yield f"{name} imports {imported}, which is not below it"
    print(f"{len(levels)} rooms, {len(arrows)} arrows between them")  # noqa: T201 - a script
    for room in levels:
        below = [f"{b} {count}" for (a, b), count in sorted(arrows.items()) if a == room]
        print(f"  {room} -> {', '.join(below) or 'nothing'}")  # noqa: T201 - a script


def _sizes(root: Path, modules: dict[str, Path]) -> Iterator[str]:
    lines: Counter[str] = Counter()
    for path in modules.values():
        length = path.read_text().count("\n")
        lines[path.relative_to(root).parts[0]] += length
        if length > LINES_A_MODULE:
            yield f"{path.relative_to(root)} has {length} lines, over {LINES_A_MODULE}"
    for folder, count in Counter(path.parent for path in modules.values()).items():
        if count > MODULES_A_FOLDER and folder != root:
            yield f"{folder.relative_to(root)} has {count} modules, over {MODULES_A_FOLDER}"
    tests = sum(p.read_text().count("\n") for p in _files(root, "*.py") if _is_test(p, root))
    print(f"{lines.total()} lines of Python, {tests} of tests")  # noqa: T201 - a script
    print("  " + ", ".join(f"{name} {count}" for name, count in lines.most_common()))  # noqa: T201


def _classes(modules: dict[str, Path]) -> Iterator[str]:
    where = defaultdict(list)
    for name, path in modules.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(name)
    for name, places in where.items():
        if len(places) > 1:
            yield f"class {name} is in {' and '.join(places)}"


def _words(root: Path) -> Iterator[str]:
    for path in sorted({path for pattern in TEXTS for path in _files(root, pattern)}):
        relative = path.relative_to(root)
        if str(relative) in WITH_ANY_WORD:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if (found := WORDS.search(line)) and not line.endswith(FORMER_NAME):
                yield f"{relative}:{number} has the word {found[0]!r}"


def _files(root: Path, pattern: str) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        # In place, so that an environment's thousands of files are not visited.
        folders[:] = sorted(set(folders) - NOT_OURS)
        yield from (Path(folder, name) for name in sorted(fnmatch.filter(names, pattern)))


def _is_test(path: Path, root: Path) -> bool:
    return path.relative_to(root).parts[0] == "tests"


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str, levels: dict[str, int]) -> str:
    """The room of a module: the longest known prefix of its name, '' if there is none."""
    while module and module not in levels:
        module = module.rpartition(".")[0]
    return module


def _imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if (found := inner if inner in modules else node.module) in modules:
                    yield found
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
