"""A run's name identifies its file and is not longer than an ECS tag."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prefect_aws.workers.ecs_worker import _TAG_REGEX
from slugify import slugify

from lambda_trigger.decisions.batches import run_of
from lambda_trigger.decisions.rules_document import BatchRule, PrefixRule
from lambda_trigger.decisions.run_identity import RunRequest, run_name

RULE = PrefixRule("", "convert-raw-sonar/ecs", "zarr", "")
BATCH = BatchRule()


def tag(name: str) -> str:
    """The name as the worker writes it into a tag of the task."""
    return str(slugify(name, regex_pattern=_TAG_REGEX, allow_unicode=True, lowercase=False))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("HB0706/EK60/D2007.raw", "D2007 · EK60 · HB0706"),
        ("D2007.raw", "D2007 · EK60"),
        # The end matters most: the time of a file, the leg of a cruise.
        (f"{'a' * 90}/leg-2/{'x' * 200}-T042400.raw", None),
    ],
)
def test_the_name_of_a_run(key: str, name: str | None) -> None:
    actual = run_name(key, "EK60", RULE)
    if name:
        assert actual == name
    else:
        stem, model, cruise = actual.split(" · ")
        assert stem.startswith("…x")
        assert stem.endswith("x-T042400")
        assert (model, cruise[:2], cruise[-7:]) == ("EK60", "…a", "a/leg-2")


@given(st.text(min_size=1, max_size=820), st.integers(1, 40))
@example("/".join(["㎯" * 130, "㎯" * 130 + ".raw"]), 40)
@example("a" * 400 + "/" + "b" * 400 + ".raw", 40)
def test_no_name_is_longer_than_an_ecs_tag(key: str, count: int) -> None:
    name = run_name(key, "AZFP6", RULE)
    assert len(tag(name)) <= 256
    wanted = [
        RunRequest(
            deployment="convert-raw-sonar/ecs",
            name=name,
            tags=[],
            idempotency_key=str(number),
            parameters={},
            job_variables={},
            lane="backfill",
        )
        for number in range(count)
    ]
    assert len(tag(run_of(wanted, BATCH).name)) <= 256
