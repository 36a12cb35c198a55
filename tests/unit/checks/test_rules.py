from __future__ import annotations

from pathlib import Path

import pytest

from checks.rules import main

TEMPLATE = Path(__file__).parents[3] / "template.yaml"


def test_the_templates_document_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([TEMPLATE]) == 0
    assert "template.yaml" in capsys.readouterr().out


def test_an_invalid_document_is_rejected_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "rules.toml"
    bad.write_text('version = 1\ninbox_bucket = "a"\noutput_bucket = "b"\nbogus = 3\n')
    assert main([bad]) == 1
    assert f"{bad}: rules document, line 4: " in capsys.readouterr().err
    spoilt = tmp_path / "template.yaml"
    spoilt.write_text(TEMPLATE.read_text().replace("[[prefix]]", "[[prefixes]]"))
    assert main([TEMPLATE, spoilt]) == 1
    assert f"{spoilt}: rules document, line " in capsys.readouterr().err
