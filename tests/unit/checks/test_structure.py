"""checks/structure.py holds for the project, and finds each kind of fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import structure

ROOT = Path(__file__).resolve().parents[3]

WORD = "mends"  # former name
# A small project without a fault: a room below another, and a module of each.
SOUND = {
    "flows/core/facts.py": "class Fact:\n    pass\n",
    "flows/stores/store.py": "from flows.core.facts import Fact\n",
    "docs/words.md": "A run is retried.\n",
}
FAULTS = {
    "upward": ({"flows/core/up.py": "import flows.stores.store\n"}, "flows.core.up imports"),
    "upward, a name": (
        {"flows/core/up.py": "def f() -> None:\n    from flows.stores import store\n"},
        "flows.core.up imports flows.stores.store, which is not below it",
    ),
    "sideways": (
        {"flows/walk/w.py": "", "flows/encoding/e.py": "import flows.walk.w\n"},
        "flows.encoding.e imports flows.walk.w, which is not below it",
    ),
    "no room": ({"elsewhere/module.py": ""}, "elsewhere.module is in no room"),
    "big folder": (
        {f"flows/core/m{number}.py": "" for number in range(16)},
        "flows/core has 17 modules, over 16",
    ),
    "long module": ({"flows/core/long.py": "\n" * 251}, "flows/core/long.py has 251 lines"),
    "class twice": (
        {"flows/stores/again.py": "class Fact:\n    pass\n"},
        "class Fact is in flows.core.facts and flows.stores.again",
    ),
    "word": ({"docs/page.md": f"\nIt is {WORD}.\n"}, f"docs/page.md:2 has the word {WORD!r}"),
    "word in a name": (
        {"tests/test_a.py": f"def test_it_{WORD}_itself() -> None: ...\n"},
        f"tests/test_a.py:1 has the word {WORD!r}",
    ),
}


def faults_of(root: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    code = structure.main(root)
    found = capsys.readouterr().err.splitlines()
    assert code == (1 if found else 0)
    return found


def test_the_project_has_its_structure(capsys: pytest.CaptureFixture[str]) -> None:
    assert structure.main(ROOT) == 0, capsys.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
def test_each_rule_finds_its_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    assert faults_of(tmp_path, SOUND, capsys) == []
    files, message = FAULTS[fault]
    (found,) = faults_of(tmp_path, files, capsys)
    assert found.startswith(f"FAIL  {message}")


def test_what_is_allowed_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    allowed = {
        **SOUND,
        # The former name of something, the changelog, and a private class.
        "flows/core/former.py": f"OLD = '{WORD}'  # former name\n",
        "CHANGELOG.md": f"It {WORD}.\n",
        "flows/stores/private.py": "class _Mark:\n    pass\n",
        "flows/core/private.py": "class _Mark:\n    pass\n",
        # Whole words only; another's code is not ours.
        "docs/bold.md": f"It com{WORD} itself.\n",
        ".venv/lib/other.py": f"{WORD} = 1\n",
        "flows/core/whole.py": "\n" * 250,
        "tests/test_long.py": "\n" * 300,
    }
    assert faults_of(tmp_path, allowed, capsys) == []
