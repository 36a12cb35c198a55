"""The time limit of a run follows from its size; running out of memory is not a bug."""

from datetime import timedelta

import pytest
from prefect.states import Failed

from flows.core.run_ends import Crashed, TimedOut
from flows.runs import time_limit as limits
from flows.runs.failure_hooks import _fault
from flows.runs.run_states import out_of_memory
from flows.runs.time_limit import source_bytes, time_limit
from flows.stores.request import ConversionRequest


@pytest.mark.parametrize(
    ("sizes", "hours"),
    [
        ([0], 1.0),
        ([100_000_000], 1.0 + 200 / 3600),
        ([20_000_000_000], 1.0 + 40_000 / 3600),
        # A file of unknown size counts as the largest allowed.
        ([None], 1.0 + 40_000 / 3600),
        ([20_000_000] * 40, 1.0 + 39 / 6 + 1600 / 3600),
    ],
)
def test_the_limit_grows_with_bytes_and_files(sizes: list[int | None], hours: float) -> None:
    assert time_limit(sizes) == timedelta(hours=hours)


def test_no_limit_is_near_what_a_conversion_takes() -> None:
    # 100 MB took 13 s in the slowest case.
    measured = 100_000_000 / 13
    assert measured > 10 * limits.BYTES_A_SECOND


def test_an_unknown_size_is_none_and_not_a_failure() -> None:
    gone = ConversionRequest(
        raw_file="/nowhere/a.raw", sonar_model="EK60", output_path="/nowhere/o.nc"
    )
    assert source_bytes(gone) is None


def test_out_of_memory_has_the_remedy_of_exit_code_137() -> None:
    fault = _fault(None, out_of_memory(MemoryError("Unable to allocate 9 TiB")))
    assert fault.outcome == Crashed.outcome
    assert "Unable to allocate 9 TiB" in fault.facts["cause"]
    assert "137 means out of memory" in Crashed.remedy


def test_a_run_that_hung_has_its_name() -> None:
    fault = _fault(None, Failed(name=TimedOut.outcome, message="ended after 1:00:00"))
    assert (fault.outcome, fault.facts["cause"]) == (TimedOut.outcome, "ended after 1:00:00")
