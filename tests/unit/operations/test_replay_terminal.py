"""Replaying uploads: exit codes, lines of JSON, and messages in the queue."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from echodrop.command_line import app
from echodrop.lazy_commands import LazyCommand
from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import Upload
from operations.replay.choice import outcome_named
from operations.replay.terminal import replay as replay_command
from tests.unit.operations.conftest import FakeInbox, lines, received


@pytest.fixture
def replay(rules: Path, queue: str) -> Callable[..., int]:
    def call(**asked: Any) -> int:
        return replay_command(rules=rules, queue=queue, **asked)

    return call


def printed(capsys: Any) -> dict[str, str]:
    return {line["uri"].split("/", 3)[3]: line["what"] for line in lines(capsys) if "uri" in line}


def test_failed_runs_are_retried_and_the_trigger_is_notified_of_lost_uploads(
    world: FakeInbox, replay: Callable[..., int], queue: str, aws: Any, capsys: Any
) -> None:
    failed = world.run(world.drop("failed.raw"), "FAILED", "BadFile")
    world.run(world.drop("running.raw"), "RUNNING", "Running")
    world.drop("lost.raw")
    uris = [f"s3://{world.inbox}/{name}.raw" for name in ("failed", "running", "lost", "gone")]
    assert replay(what=uris[:3], dry_run=True, as_json=True) == 0
    assert printed(capsys) == {
        "failed.raw": "would retry",
        "running.raw": "running: Running",
        "lost.raw": "would notify",
    }
    assert (world.runs.retried, received(aws("sqs"), queue)) == ([], [])

    assert replay(what=uris, as_json=True) == 1
    assert printed(capsys) == {
        "failed.raw": "retried",
        "running.raw": "running: Running",
        "lost.raw": "notified",
        "gone.raw": "ignored: superseded: the object is gone",
    }
    assert world.runs.retried == [failed.id]
    (body,) = received(aws("sqs"), queue)
    (upload,) = read_body(body)
    assert isinstance(upload, Upload)
    assert (upload.key, upload.generation) == ("lost.raw", 0)


def test_runs_are_chosen_and_forced_to_a_new_generation(
    world: FakeInbox, replay: Callable[..., int], queue: str, aws: Any, capsys: Any
) -> None:
    for key in ("a/1.raw", "a/2.raw", "b/3.raw"):
        world.publish(world.drop(key), key.replace(".raw", ".zarr"), {"zarr.json": b"{}"})
        world.run(world.source(key), "COMPLETED", "Completed", version="0.1.0")
    world.run(world.drop("a/4.raw"), "FAILED", "BadFile", version="0.1.0")
    chosen: dict[str, Any] = {"prefix": "a/", "since": "1h", "outcome": ["Completed"]}
    assert replay(**chosen, as_json=True) == 0
    assert printed(capsys) == {"a/1.raw": "done", "a/2.raw": "done"}
    assert replay(**chosen, version="0.2.0") == 0
    assert replay(**chosen, version="0.1.0", force=True, limit=1, rate=100.0) == 0
    assert "1 upload," in capsys.readouterr().out
    (upload,) = [read_body(body)[0] for body in received(aws("sqs"), queue)]
    assert isinstance(upload, Upload)
    assert upload.generation == 1
    assert world.runs.retried == []


def test_the_intact_part_of_a_damaged_upload_is_a_new_generation(
    world: FakeInbox, replay: Callable[..., int], queue: str, aws: Any, capsys: Any
) -> None:
    """Its model is declared nowhere: the trigger finds it in the bytes."""
    uri = world.run(world.drop("bad.raw"), "FAILED", "BadFile").raw_file
    assert replay(what=[uri], partial=True, as_json=True) == 0
    assert printed(capsys) == {"bad.raw": "notified"}
    (upload,) = [read_body(body)[0] for body in received(aws("sqs"), queue)]
    assert isinstance(upload, Upload)
    assert (upload.key, upload.generation, upload.allow_partial) == ("bad.raw", 1, True)
    # If that run fails for another reason, it is retried with its parameters.
    run = world.run(world.source("bad.raw"), "CRASHED", "Crashed", generation=1)
    partial = replace(run, parameters={**run.parameters, "allow_partial": True})
    identity = next(key for key, each in world.runs.runs.items() if each is run)
    world.runs.runs[identity] = partial
    assert replay(what=[uri], partial=True, as_json=True) == 0
    assert printed(capsys) == {"bad.raw": "retried"}


@pytest.mark.parametrize("typed", ["BADFILE", "badfile", "BadFile"])
def test_an_outcome_is_known_in_any_case_of_letters(typed: str) -> None:
    assert outcome_named(typed) == "BadFile"
    assert outcome_named("defect") == outcome_named("failed") == "Failed"


def test_an_unknown_outcome_is_refused_with_the_known_ones() -> None:
    done = CliRunner().invoke(app, ["replay", "--outcome", "Nonsense", "--since", "1h"])
    assert done.exit_code == 2
    message = " ".join(done.output.replace("│", " ").split())
    assert "no run ends as 'Nonsense'; known outcomes: AccessDenied, Archived, BadFile" in message


def test_every_option_with_fixed_values_takes_them_in_any_case_of_letters() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    choices = [
        (name, param)
        for name, command in group.commands.items()
        if isinstance(command, LazyCommand)
        for param in command.load().params
        if hasattr(param.type, "case_sensitive")
    ]
    assert len(choices) >= 3
    assert [(name, param.name) for name, param in choices if param.type.case_sensitive] == []


def test_an_upload_elsewhere_and_a_missing_bucket_are_named(
    world: FakeInbox, rules: Path, replay: Callable[..., int], capsys: Any
) -> None:
    world.drop("notes.md")
    uris = ["s3://other/a.raw", f"s3://{world.output}/a.zarr", f"s3://{world.inbox}/notes.md"]
    assert replay(what=uris, as_json=True) == 1
    found = [line["what"] for line in lines(capsys) if "uri" in line]
    assert found == [
        f"rejected: foreign-bucket: the inbox is {world.inbox}, not other",
        "ignored: own-output: in the output bucket",
        "ignored: document: a text, table or picture; only recordings of echosounders are converted",
    ]
    assert replay(what=["s3://inbox"]) == 2
    assert "s3://inbox names no upload: give s3://bucket/key" in capsys.readouterr().err
    world.s3.delete_object(Bucket=world.inbox, Key="notes.md")
    world.s3.delete_bucket(Bucket=world.inbox)
    assert replay(what=[f"s3://{world.inbox}/a.raw"]) == 2
    assert f"bucket {world.inbox} does not exist" in capsys.readouterr().err


def test_a_reader_that_has_gone_ends_the_command_quietly(
    world: FakeInbox, replay: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Gone(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise BrokenPipeError

    world.drop("a.raw")
    monkeypatch.setattr(sys, "stdout", Gone())
    # The command line ends quietly at this error; print_error would have printed it.
    with pytest.raises(BrokenPipeError):
        replay(what=[f"s3://{world.inbox}/a.raw"], as_json=True)
    assert capsys.readouterr().err == ""


def test_a_reader_that_has_gone_before_the_end_leaves_no_trace() -> None:
    root = str(Path(__file__).resolve().parents[3])
    # What is still in the buffer is written when the command ends.
    command = [sys.executable, "-m", "echodrop", "--version"]
    with subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""


def test_an_invalid_time_is_refused_and_an_interruption_is_explained(
    world: FakeInbox, replay: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert replay(since="yesterday") == 2
    assert "'yesterday' is not a time" in capsys.readouterr().err

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    world.drop("a.raw")
    monkeypatch.setattr("operations.replay.replaying.Fixer.fix", stop)
    assert replay(what=[f"s3://{world.inbox}/a.raw"]) == 130
    assert "the next call resumes" in capsys.readouterr().out
