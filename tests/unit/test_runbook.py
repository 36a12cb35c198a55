"""The runbook has a row for all that can wake somebody, or stop a file."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from echodrop.command_line import app
from echodrop.lazy_commands import LazyCommand
from flows.failures.failure_report import FAILURES
from lambda_trigger.clients import transport_errors
from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.outcomes import Reason
from operations.findings.findings import Kind
from sandbox.stack.template import read_template

RUNBOOK = (Path(__file__).resolve().parents[2] / "docs/runbook.md").read_text()


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", RUNBOOK, re.DOTALL | re.MULTILINE)
    assert text, section
    lines = [line for line in text[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def alarms() -> list[str]:
    resources = read_template()["Resources"]
    return [name for name, it in resources.items() if it["Type"] == "AWS::CloudWatch::Alarm"]


def entries(section: str) -> dict[str, dict[str, str]]:
    """The entries of a section: by heading, what it means, where to look, what to type."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", RUNBOOK, re.DOTALL | re.MULTILINE)
    assert text, section
    found = re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", text[1], re.DOTALL | re.MULTILINE)
    return {name: dict(re.findall(r"^- (\w+): (.*)$", body, re.MULTILINE)) for name, body in found}


@pytest.mark.parametrize("alarm", alarms())
def test_an_alarm_has_its_meaning_what_to_look_at_and_what_to_type(alarm: str) -> None:
    entry = entries("Alerts")[alarm]
    assert list(entry) == ["Means", "Look", "Type"]
    assert all(len(text) > 5 for text in entry.values())


def test_no_entry_is_of_an_alarm_that_is_gone() -> None:
    assert set(entries("Alerts")) == set(alarms())


def test_the_commonest_situations_come_first_with_a_command_each() -> None:
    assert re.findall(r"^## (.*)$", RUNBOOK, re.MULTILINE)[0] == "The commonest situations"
    found = entries("The commonest situations")
    assert len(found) == 5
    for entry in found.values():
        assert list(entry) == ["Means", "Look", "Type"]
        assert "`" in entry["Type"]


def test_every_command_of_the_runbook_exists_with_its_options() -> None:
    """Type what the page says, without running it."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for name, rest in re.findall(r"`echodrop (\w+)([^`]*)`", RUNBOOK):
        command = lazy.load() if isinstance(lazy := group.commands[name], LazyCommand) else lazy
        options = {option for each in command.params for option in each.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, (name, rest)


@pytest.mark.parametrize("reason", [str(reason) for reason in Reason] + ["unexpected-error"])
def test_a_reason_of_the_trigger_has_its_row(reason: str) -> None:
    assert any(f"`{reason}`" in row[1] for row in rows("The trigger"))


def test_a_transport_error_has_its_row() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(transport_errors, inspect.isclass)
        if issubclass(kind, TransportError) and kind is not TransportError
    ]
    assert kinds
    for kind in kinds:
        assert any(f"`{kind.reason}`" in row[1] for row in rows("The trigger")), kind


@pytest.mark.parametrize(
    "outcome",
    [*FAILURES, "PartlyFailed", "AllFailed", "Completed", "Skipped", "Paused", "Suspended"],
)
def test_an_outcome_of_a_run_has_its_row(outcome: str) -> None:
    assert any(outcome in " ".join(row[:2]) for row in rows("The run"))


@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_a_class_of_reconciling_has_its_row(kind: str) -> None:
    assert any(
        kind == name.strip() or kind.removeprefix("output ") == name.strip()
        for row in rows("Reconcile")
        for name in row[0].split(",")
    )
