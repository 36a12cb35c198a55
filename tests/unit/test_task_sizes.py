"""Which of the two sizes a file gets, and that Fargate and the work pool have both."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.deployment.work_pool_template import TEMPLATE
from lambda_trigger.decisions.rules_document import Rules
from sonar_models import SONAR_MODELS
from task_sizes import LARGE, STANDARD, TaskSize, peak_bytes, size_for, usable_bytes

BOTH = (STANDARD, LARGE)
# CPU units to the MiB that Fargate offers with them: least, most, step.
FARGATE = {1024: (2048, 8192, 1024), 4096: (8192, 30720, 1024)}
# (model, file bytes, measured peak in MB) of whole conversions, S3 to S3.
MEASURED = [
    ("EK60", 100_446_160, 365),
    ("EK80", 100_253_756, 353),
    ("AZFP", 1_013_040, 274),
    ("AZFP", 9_961_560, 313),
    ("AZFP", 49_976_640, 509),
    ("AZFP6", 25_290_000, 927),
    ("AZFP6", 84_280_000, 2_702),
    ("AD2CP", 3_000_000, 321),
    ("AD2CP", 10_000_000, 367),
    ("AD2CP", 20_000_000, 329),
    ("AD2CP", 50_100_000, 388),
]


@pytest.mark.parametrize(("model", "size", "megabytes"), MEASURED)
def test_the_rule_covers_what_was_measured(model: str, size: int, megabytes: int) -> None:
    assert megabytes * 1e6 <= peak_bytes(model, size) <= megabytes * 1.4e6


def test_models_of_one_format_take_the_same() -> None:
    assert peak_bytes("ES70", 10**9) == peak_bytes("ek60", 10**9)
    assert peak_bytes("EA640", 10**9) == peak_bytes("EK80", 10**9)


@pytest.mark.parametrize("size", BOTH, ids=lambda size: size.name)
def test_fargate_and_the_work_pool_offer_it(size: TaskSize) -> None:
    least, most, step = FARGATE[size.cpu]
    assert least <= size.memory <= most
    assert size.memory % step == 0
    assert 21 <= size.ephemeral_storage <= 200
    variables = json.loads(TEMPLATE.read_text())["variables"]["properties"]
    assert size.cpu in variables["cpu"]["enum"]
    for name in ("memory", "ephemeral_storage"):
        assert variables[name]["minimum"] <= getattr(size, name) <= variables[name]["maximum"]


def test_a_run_that_nobody_sized_is_a_standard_one() -> None:
    variables = json.loads(TEMPLATE.read_text())["variables"]["properties"]
    assert {name: variables[name]["default"] for name in STANDARD.job_variables} == (
        STANDARD.job_variables
    )


@given(st.sampled_from(sorted(SONAR_MODELS)), st.integers(0, 10**11))
def test_a_file_is_large_exactly_where_standard_is_too_small(model: str, size: int) -> None:
    small = peak_bytes(model, size) <= usable_bytes(STANDARD.memory * 2**20)
    assert size_for(model, size) is (STANDARD if small else LARGE)


@pytest.mark.parametrize(
    ("model", "megabytes", "wanted"),
    [
        ("EK60", 2_200, STANDARD),
        ("EK80", 2_210, LARGE),
        ("AZFP", 600, STANDARD),
        ("AD2CP", 1_020, STANDARD),
        ("AD2CP", 1_040, LARGE),
    ],
)
def test_where_the_border_is(model: str, megabytes: int, wanted: TaskSize) -> None:
    assert size_for(model, megabytes * 10**6) is wanted


def test_the_disk_holds_the_file_and_an_output_as_large() -> None:
    for size in BOTH:
        assert 2 * Rules.reject_above <= (size.ephemeral_storage - 1) * 2**30
    much_memory = TaskSize("", 4096, 30720, 21)
    assert much_memory.fits("EK60", 11 * 10**9)
    assert not much_memory.fits("EK60", 12 * 10**9)
