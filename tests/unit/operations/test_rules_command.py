"""`echodrop rules`, and the page that describes the document."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import sonar_models
from echodrop.command_line import app
from lambda_trigger.decisions.rules_document import (
    BATCH,
    SIZE_LIMITS,
    TOP,
    WAITING,
    BatchRule,
    PrefixRule,
    Rules,
    parse_rules,
)
from operations.rules.terminal import check_rules, explain_rules
from sandbox.stack.template import UNUSED_PARAMETERS, Stack
from sonar_models import SONAR_MODELS
from tests.file_heads import file_head
from tests.unit.operations.conftest import FakeInbox

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/rules.md").read_text()
DOCUMENT = """\
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
[[prefix]]
prefix = "survey/"
deployment = "convert-raw-sonar/ecs"
"""


def described(heading: str) -> dict[str, str]:
    """The names in the table below a heading of the page, with their defaults."""
    section = re.search(
        rf"^## {re.escape(heading)}.*?\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE
    )
    assert section, heading
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section[1], re.MULTILINE)
    return {name: default.strip("`") for name, default in rows}


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("At the top", TOP),
        ("`[[prefix]]`", tuple(each.name for each in fields(PrefixRule))),
        ("`[size_limits]`", SIZE_LIMITS),
        ("`[waiting]`", WAITING),
        ("`[batch]`", BATCH),
    ],
)
def test_the_page_has_a_row_for_every_name_of_a_document(
    heading: str, known: tuple[str, ...]
) -> None:
    tables = {"size_limits", "waiting", "prefix", "tier", "batch"} if known == TOP else set()
    assert described(heading).keys() == set(known) - tables
    for table in tables:
        assert f"[{table}]" in PAGE


def test_the_defaults_of_the_page_are_those_of_the_code() -> None:
    for heading, rule, of in (
        ("`[size_limits]`", Rules, {"pause_above", "reject_above"}),
        ("`[batch]`", BatchRule, {each.name for each in fields(BatchRule)}),
        ("`[[prefix]]`", PrefixRule, {"ignore", "batch"}),
    ):
        defaults = {each.name: each.default for each in fields(rule) if each.default is not MISSING}
        for name in of:
            written = tomllib.loads(f"x = {described(heading)[name]}")["x"]
            default = defaults[name]
            assert written == (list(default) if isinstance(default, tuple) else default), name
    assert float(described("`[waiting]`")["limit_hours"]) == Rules.waiting_limit_hours


def test_the_examples_of_the_page_and_the_templates_document_are_valid() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert examples
    parameters = {**UNUSED_PARAMETERS, "PrefectApiUrl": "https://x/api", "PrefectAuth": "none"}
    template = Stack.read(parameters, path=ROOT / "template.yaml")
    for text in (*examples, str(template.properties("RulesDocument")["Value"])):
        assert parse_rules(text).warnings == ()


def test_a_new_sonar_model_invalidates_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Older documents have a size for each model of their time."""
    tiers = '[[tier]]\nname = "small"\ncpu = 1024\nup_to_bytes = { EK60 = 100 }\n'
    before = [parse_rules(text) for text in (DOCUMENT, DOCUMENT + tiers)]
    new = sonar_models.SonarModel("EK95", sonar_models.EK80, r"\.raw", 1.4)
    monkeypatch.setitem(SONAR_MODELS, "EK95", new)
    assert [parse_rules(text) for text in (DOCUMENT, DOCUMENT + tiers)] == before


def test_a_valid_document_is_shown_and_a_wrong_one_named_with_its_line(
    tmp_path: Path, capsys: Any
) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(DOCUMENT)
    bad.write_text(DOCUMENT + "bogus = 3\n")
    assert check_rules([good]) == 0
    out = capsys.readouterr().out
    assert f"{good}: valid, 1 prefix\n" in out
    assert "'survey/': zarr below s3://output/survey/ by convert-raw-sonar/ecs" in out
    assert check_rules([bad, good, tmp_path / "missing.toml"]) == 1
    err = capsys.readouterr().err
    assert f"{bad}: rules document, line 7: 'bogus' is not known here" in err
    assert "missing.toml" in err
    assert CliRunner().invoke(app, ["rules", "check", str(bad)]).exit_code == 1


@pytest.mark.parametrize(
    ("key", "body", "says", "code"),
    [
        ("a.raw", "EK80", "Submitted: EK80, by its bytes; run of convert-raw-sonar/ecs", 0),
        ("a.raw", None, "depends on its content, which is not there yet: EA640, EK60", 0),
        ("a.raw", b"a text", "Rejected: unknown-content", 1),
        ("a.mp3", None, "Rejected: unknown-extension", 1),
        ("notes.md", None, "Ignored: document", 0),
        ("a.01A", "AZFP", "Waiting: sidecar", 0),
        ("s.xml", None, "a settings XML", 0),
    ],
)
def test_an_upload_is_explained_without_sending_it(
    *, world: FakeInbox, rules: Path, capsys: Any, key: str, body: Any, says: str, code: int
) -> None:
    if body is not None:
        world.drop(key, file_head(body) if isinstance(body, str) else body)
    before = world.s3.list_objects_v2(Bucket=world.inbox).get("Contents", [])
    assert explain_rules(f"s3://{world.inbox}/{key}", rules) == code
    out = capsys.readouterr().out
    assert says in out
    assert "rule      '': zarr below" in out
    assert world.runs.runs == {}
    assert world.s3.list_objects_v2(Bucket=world.inbox).get("Contents", []) == before


def test_small_files_of_a_lane_with_batches_may_share_a_task(
    world: FakeInbox, rules: Path, capsys: Any
) -> None:
    world.drop("a.raw")
    rules.write_text(rules.read_text() + "\n[batch]\n")
    assert explain_rules(f"s3://{world.inbox}/a.raw", rules) == 0
    assert "in lane backfill it may share one" in capsys.readouterr().out
    assert explain_rules("s3://other/a.raw", rules) == 1
    assert "foreign-bucket" in capsys.readouterr().out
    assert explain_rules("inbox/a.raw", rules) == 2
    assert "give s3://bucket/key" in capsys.readouterr().err
