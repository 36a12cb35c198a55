"""The flow's contract: parameters and defaults, and the time of retries."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from prefect.states import Failed

from flows.convert_raw_sonar import convert_raw_sonar, open_raw_file, save_converted_file
from flows.convert_raw_sonar_batch import convert_file
from flows.core.outcomes import (
    AccessDenied,
    BadFile,
    ClaimLost,
    OutputClaimed,
    TransientFault,
)
from flows.core.run_ends import Outcome
from flows.core.transient_faults import (
    ATTEMPTS,
    FIRST_WAIT_SECONDS,
    LONGEST_WAIT_SECONDS,
    backoff_seconds,
)
from flows.publishing.claims import LEASE_SECONDS

NEEDED = inspect.Parameter.empty


def test_the_nine_parameters_have_their_defaults_and_all_others_one() -> None:
    parameters = inspect.signature(convert_raw_sonar.fn).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    nine: dict[str, Any] = {
        "raw_file": NEEDED,
        "sonar_model": NEEDED,
        "xml_path": None,
        "convert_params": None,
        "input_storage_options": {},
        "output_path": NEEDED,
        "output_type": "netcdf",
        "overwrite": False,
        "output_storage_options": {},
    }
    assert list(defaults)[: len(nine)] == list(nine)
    assert {name: defaults[name] for name in nine} == nine
    assert NEEDED not in [defaults[name] for name in defaults.keys() - nine.keys()]
    # output_path has no default, but comes after parameters that have one.
    keyword_only = [
        name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY
    ]
    assert keyword_only[0] == "output_path"


@pytest.mark.parametrize(
    "task", [open_raw_file, save_converted_file, convert_file], ids=lambda task: task.name
)
def test_a_task_waits_longer_each_time_with_jitter(task: Any) -> None:
    assert task.retry_delay_seconds == [2, 4, 8, 16, 32, 64, 128]
    assert task.retries == len(task.retry_delay_seconds)
    assert task.retry_jitter_factor == 0.5
    # The claim of a killed run expires in this time, for any jitter.
    assert sum(task.retry_delay_seconds) * (1 - task.retry_jitter_factor) > LEASE_SECONDS


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (TransientFault("s3", "503"), True),
        (OutputClaimed("out.zarr", "another"), True),
        (ClaimLost("out.zarr"), True),
        (ConnectionResetError(), True),
        (BadFile("a.raw", "cut"), False),
        (AccessDenied("s3://b", "403"), False),
        (ValueError(), False),
    ],
    ids=lambda it: type(it).__name__,
)
def test_a_task_is_retried_only_after_transient_faults(
    error: Exception,
    again: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    name = error.outcome if isinstance(error, Outcome) else None
    state: Any = Failed(name=name, data=error)
    run: Any = None
    for task in (open_raw_file, save_converted_file, convert_file):
        is_retryable: Any = task.retry_condition_fn
        assert is_retryable(task, run, state) is again


def test_without_prefect_a_fault_is_waited_for_as_long() -> None:
    drawn = [
        [
            backoff_seconds(attempt, base=FIRST_WAIT_SECONDS, longest=LONGEST_WAIT_SECONDS)
            for attempt in range(1, ATTEMPTS)
        ]
        for _ in range(200)
    ]
    for waits in drawn:
        assert 120 <= sum(waits) <= 240
        assert all(
            min(60, 2 * 2**attempt) / 2 <= wait <= min(60, 2 * 2**attempt)
            for attempt, wait in enumerate(waits, 1)
        )
    assert LEASE_SECONDS < 120
    # Two runs that fail at the same time are not retried at the same time.
    assert len({round(sum(waits), 3) for waits in drawn}) > 100
