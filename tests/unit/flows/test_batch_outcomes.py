"""The outcome of a batch follows from its files, and names the failed ones."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from prefect.client.schemas import State
from prefect.states import Completed, Crashed

from flows.core.outcomes import AllFailed, BadFile, InvalidParameters, PartlyFailed
from flows.core.run_ends import Outcome
from flows.runs.batch.batch_entries import BatchFile, batch_state, file_outcome, outcome_rows
from flows.runs.failed_runs import file_state
from flows.stores.request import ConversionRequest


def outcome(name: str, state: State[Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "raw_file": f"/in/{name}",
        "sonar_model": "EK60",
        "output_path": "/out",
    }
    return file_outcome(BatchFile(name, entry, ConversionRequest(**entry)), state)


GOOD = outcome("a.raw", Completed(message="/out/a.nc: 1 object", data="/out/a.nc"))
SKIPPED = outcome("b.raw", Completed(name="Skipped", message="already published"))
BAD = outcome("c.raw", file_state(BadFile("/in/c.raw", "cut", last_good_byte=17)))
DEAD = outcome("d.raw", Crashed(message="its process died"))


def test_completed_and_skipped_files_make_a_completed_batch() -> None:
    state = batch_state([GOOD, SKIPPED, GOOD])
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert state.message == "3 files: 2 Completed, 1 Skipped"
    assert state.result() == [GOOD, SKIPPED, GOOD]


def test_one_failed_file_makes_a_partly_failed_batch_with_its_facts() -> None:
    for bad in (BAD, DEAD):
        assert batch_state([GOOD, bad, SKIPPED]).name == "Failed"
    state = batch_state([GOOD, BAD, DEAD])
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message is not None
    assert state.message.startswith(
        "PartlyFailed: 2 of 3 files failed: c.raw (BadFile), d.raw (Crashed). "
    )
    failure = state.result(raise_on_failure=False)
    assert isinstance(failure, PartlyFailed)
    assert not isinstance(failure, AllFailed)
    assert failure.files[1]["facts"]["last_good_byte"] == 17
    copy = pickle.loads(pickle.dumps(failure))  # noqa: S301 - written a line before
    assert isinstance(copy, Outcome)
    assert copy.facts() == failure.facts()


def test_all_failed_is_named_and_only_some_failures_are_listed() -> None:
    state = batch_state([BAD] * 5)
    assert isinstance(state.result(raise_on_failure=False), AllFailed)
    assert state.message is not None
    assert state.message.startswith("AllFailed: 5 of 5 files failed: ")
    assert state.message.count("c.raw") == 3


def test_failed_files_come_first_in_the_table() -> None:
    rows = outcome_rows([GOOD, BAD, SKIPPED])
    assert [row["file"] for row in rows] == ["c.raw", "a.raw", "b.raw"]
    assert rows[0]["message"] == "/in/c.raw: cut (intact up to byte 17)"
    assert rows[1]["output"] == str(Path("/out/a.nc"))


def test_an_invalid_entry_has_an_outcome_too() -> None:
    wrong = InvalidParameters("files[0].sonar_model: Field required")
    result = file_outcome(BatchFile("files[0]", {}, wrong), file_state(wrong))
    assert (result["outcome"], result["raw_file"], result["output"]) == (
        "InvalidParameters",
        None,
        None,
    )
    assert outcome_rows([result])[0]["message"] == str(wrong)
