"""Each tier is as large as it says, and the trigger's table says the same."""

import json
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from flows.memory_model import peak_bytes
from flows.size_tiers import MODELS, TIERS, Tier, rules_tables, up_to_bytes
from flows.work_pool_template import TEMPLATE

ROOT = Path(__file__).resolve().parents[3]
# CPU units to the MiB that Fargate offers with them: least, most, step.
FARGATE = {
    1024: (2048, 8192, 1024),
    2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024),
    8192: (16384, 61440, 4096),
    16384: (32768, 122880, 8192),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_a_file_at_the_limit_fits_and_one_a_step_above_does_not(tier: Tier, model: str) -> None:
    limit = up_to_bytes(tier, model)
    assert peak_bytes(model, limit) <= tier.usable_bytes < peak_bytes(model, limit + 1_000_000)
    assert tier.usable_bytes < 0.8 * tier.memory * 2**20


def test_fargate_offers_every_tier() -> None:
    for tier in TIERS:
        least, most, step = FARGATE[tier.cpu]
        assert least <= tier.memory <= most
        assert tier.memory % step == 0
        assert 21 <= tier.ephemeral_storage <= 200


def test_each_tier_is_larger_than_the_one_before() -> None:
    assert len(TIERS) >= 4
    for smaller, larger in pairwise(TIERS):
        assert smaller.cpu < larger.cpu
        assert smaller.memory < larger.memory
        assert smaller.ephemeral_storage <= larger.ephemeral_storage


def test_the_disk_holds_the_largest_file_twice() -> None:
    # Raw file with its skeleton, and the netCDF output; nothing is swapped out any more.
    for tier in TIERS:
        largest = max(up_to_bytes(tier, model) for model in MODELS)
        assert 2 * largest <= (tier.ephemeral_storage - 1) * 2**30, tier.name


def test_the_rules_tables_say_the_same_and_stay_small() -> None:
    tables = tomllib.loads(rules_tables())["tier"]
    assert [table["name"] for table in tables] == [tier.name for tier in TIERS]
    for table, tier in zip(tables, TIERS, strict=True):
        assert (table["cpu"], table["memory"]) == (tier.cpu, tier.memory)
        assert table["up_to_bytes"] == {model: up_to_bytes(tier, model) for model in MODELS}
    # A standard parameter of SSM holds 4 KB, the rest of the rules included.
    assert len(rules_tables()) < 2048


def test_the_work_pool_takes_every_tier() -> None:
    variables = json.loads(TEMPLATE.read_text())["variables"]["properties"]
    for tier in TIERS:
        assert tier.cpu in variables["cpu"]["enum"]
        for name in ("memory", "ephemeral_storage"):
            bounds = variables[name]
            assert bounds["minimum"] <= getattr(tier, name) <= bounds["maximum"]
