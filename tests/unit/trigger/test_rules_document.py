from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.size_tiers import TIERS as TIERS_OF_FLOWS
from flows.size_tiers import rules_tables, up_to_bytes
from lambda_trigger.rules_document import Rules, parse_rules
from lambda_trigger.rules_table import RulesError
from lambda_trigger.size_tiers import tier_for
from lambda_trigger.sonar_model import MODELS

GOOD = """\
version = 1
inbox_bucket = "echodrop-inbox"
output_bucket = "echodrop-output"
[size_limits]
pause_above = 5_000_000_000
reject_above = 20_000_000_000
[waiting]
limit_hours = 24
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
[[prefix]]
prefix = "survey/"
deployment = "convert-raw-sonar/ecs"
output_type = "netcdf"
output_prefix = "done/"
[prefix.parameters]
compact = false
"""
LIMITS = ", ".join(f"{model} = 100" for model in sorted(MODELS))
TIERS = f"""\
[[tier]]
name = "small"
cpu = 1024
memory = 4096
ephemeral_storage = 21
up_to_bytes = {{ {LIMITS} }}
[[tier]]
name = "large"
cpu = 4096
memory = 30720
ephemeral_storage = 40
up_to_bytes = {{ {LIMITS.replace("100", "200")} }}
"""


def test_the_whole_document_is_read() -> None:
    rules = parse_rules(GOOD)
    assert (rules.inbox_bucket, rules.output_bucket) == ("echodrop-inbox", "echodrop-output")
    assert (rules.pause_above, rules.reject_above) == (5_000_000_000, 20_000_000_000)
    assert rules.waiting_limit_hours == 24
    assert [rule.output_type for rule in rules.prefixes] == ["zarr", "netcdf"]
    assert rules.prefixes[1].parameters == {"compact": False}


@pytest.mark.parametrize(
    ("key", "prefix"), [("survey/a.raw", "survey/"), ("a.raw", ""), ("surve/a.raw", "")]
)
def test_the_longest_matching_prefix_decides(key: str, prefix: str) -> None:
    rule = parse_rules(GOOD).rule_for(key)
    assert rule is not None
    assert rule.prefix == prefix


def test_a_key_outside_of_all_prefixes_has_no_rule() -> None:
    narrow = GOOD.replace('prefix = ""\n', 'prefix = "other/"\n')
    assert parse_rules(narrow).rule_for("a.raw") is None


def test_limits_have_defaults() -> None:
    text = "\n".join(GOOD.splitlines()[:3] + GOOD.splitlines()[8:11])
    rules = parse_rules(text)
    assert rules == Rules("echodrop-inbox", "echodrop-output", rules.prefixes)


def test_archives_are_named_and_there_are_none_unless_named() -> None:
    named = GOOD.replace("[size_limits]", 'archive_buckets = ["old-files", "older"]\n[size_limits]')
    assert parse_rules(named).archive_buckets == ("old-files", "older")
    by_arn = named.replace('"older"', '"arn:aws:s3:::older"')
    assert parse_rules(by_arn).archive_buckets == ("old-files", "older")
    assert parse_rules(GOOD).archive_buckets == ()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('"old-files"', "must be a list"),
        ("[3]", "3 is neither a bucket's name nor its ARN"),
        ('["Old Files"]', "'Old Files' is neither"),
        ('["arn:aws:s3:us-east-1:123456789012:accesspoint/old"]', "is neither"),
        ('["arn:aws:s3:::echodrop-inbox"]', "echodrop-inbox is the inbox"),
        ('["echodrop-inbox"]', "echodrop-inbox is the inbox"),
        ('["old", "echodrop-output"]', "echodrop-output is the output bucket"),
    ],
)
def test_archives_that_can_be_none_are_refused_with_their_line(written: str, says: str) -> None:
    text = GOOD.replace("[size_limits]", f"archive_buckets = {written}\n[size_limits]")
    with pytest.raises(RulesError, match=says) as raised:
        parse_rules(text)
    assert raised.value.line == 4


def test_a_prefix_without_mapping_keeps_its_keys() -> None:
    text = GOOD.replace('output_prefix = "done/"\n', "")
    assert parse_rules(text).prefixes[1].output_prefix == "survey/"


@pytest.mark.parametrize(
    ("right", "wrong", "line", "says"),
    [
        ("version = 1", "version = 2", 1, "version must be 1"),
        ("version = 1", "version = true", 1, "version must be 1"),
        ("version = 1\n", "", 1, "version"),
        ('"echodrop-inbox"', "echodrop-inbox", 2, "nvalid"),
        ('"echodrop-inbox"', '"Not A Bucket"', 2, "no name of a bucket"),
        ('"echodrop-inbox"', "7", 2, "text in quotes"),
        ('"echodrop-output"', '"echodrop-inbox"', 3, "every output would come in again"),
        ("pause_above = 5_000_000_000", 'pause_above = "5 GB"', 5, "whole number"),
        ("pause_above = 5_000_000_000", "pause_above = 1.5", 5, "whole number"),
        ("pause_above = 5_000_000_000", "pause_above = -1", 5, "above 0"),
        ("pause_above = 5_000_000_000", "pause_over = 1", 5, "'pause_over' is not known"),
        ("reject_above = 20_000_000_000", "reject_above = 1", 5, "greater than reject_above"),
        ("limit_hours = 24", "limit_hours = nan", 8, "above 0"),
        ("[waiting]", "[wating]", 7, "'wating' is not known"),
        ("limit_hours = 24", "limit_hours = 24 hours", 8, "line 8"),
        ('prefix = ""', "prefix = 1", 10, "text in quotes"),
        ('deployment = "convert-raw-sonar/ecs"\n[[', "[[", 9, "deployment is missing"),
        ('"survey/"', '"/survey/"', 13, "no '/' in front"),
        ('"survey/"', '""', 13, "twice"),
        ('"netcdf"', '"csv"', 15, "zarr, netcdf"),
        ("output_prefix", "output_prefiks", 16, "'output_prefiks' is not known"),
        ("[prefix.parameters]\ncompact = false", "parameters = 1", 17, "must be a table"),
        ("[prefix.parameters]\ncompact = false", "ignore = 1", 17, "true or false"),
        ("convert-raw-sonar/ecs", "convert-raw-sonar", 11, "flow name/deployment name"),
    ],
)
def test_a_wrong_document_is_refused_with_the_line(
    right: str, wrong: str, line: int, says: str
) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(GOOD.replace(right, wrong, 1))
    assert (error.value.line, says in str(error.value)) == (line, True), str(error.value)


@pytest.mark.parametrize(
    "text", ["", "version = 1", "[[prefix]]\n", "prefix = 3", "size_limits = 3"]
)
def test_a_document_without_prefixes_or_buckets_is_refused(text: str) -> None:
    with pytest.raises(RulesError):
        parse_rules(text)


def test_the_sizes_of_tasks_are_read() -> None:
    small, large = parse_rules(GOOD + TIERS).tiers
    assert (small.name, large.name) == ("small", "large")
    assert large.job_variables == {"cpu": 4096, "memory": 30720, "ephemeral_storage": 40}


@pytest.mark.parametrize(
    ("size", "tier"), [(0, "small"), (100, "small"), (101, "large"), (200, "large"), (201, "large")]
)
def test_the_first_size_that_takes_the_file_is_chosen_else_the_last(size: int, tier: str) -> None:
    chosen = tier_for(parse_rules(GOOD + TIERS).tiers, "EK80", size)
    assert chosen is not None
    assert chosen.name == tier


def test_the_tables_that_the_memory_model_gives_are_taken_as_they_are() -> None:
    rules = parse_rules(GOOD + rules_tables())
    for tier, known in zip(rules.tiers, TIERS_OF_FLOWS, strict=True):
        assert (tier.name, tier.cpu, tier.memory) == (known.name, known.cpu, known.memory)
        assert tier.up_to_bytes["EK80"] == up_to_bytes(known, "EK80")


@pytest.mark.parametrize(
    ("right", "wrong", "line", "says"),
    [
        ('"small"', '"Small size"', 2, "lower-case letters"),
        ('"large"', '"small"', 8, "twice"),
        ("cpu = 4096", "cpu = 4096.0", 9, "whole number above 0"),
        ("cpu = 4096\n", "", 7, "whole number above 0"),
        ("memory = 30720", "memory = 0", 10, "whole number above 0"),
        ("ephemeral_storage = 40", "disk = 40", 11, "'disk' is not known"),
        ("EK80 = 200", "EK81 = 200", 12, "each sonar model"),
        ("EK80 = 200, ", "", 12, "each sonar model"),
        ("EK80 = 200", "EK80 = 99", 12, "the smallest comes first"),
        ("EK80 = 200", "EK80 = -1", 12, "whole number of bytes"),
        ("EK80 = 200", "EK80 = true", 12, "whole number of bytes"),
    ],
)
def test_a_wrong_size_of_task_is_refused_with_the_line(
    right: str, wrong: str, line: int, says: str
) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(GOOD + TIERS.replace(right, wrong, 1))
    before = GOOD.count("\n")
    assert (error.value.line - before, says in str(error.value)) == (line, True), str(error.value)


def test_sizes_that_are_no_tables_are_refused() -> None:
    with pytest.raises(RulesError, match=r"line 1: .*\[\[tier\]\] tables"):
        parse_rules("tier = 3\n" + GOOD)


@given(st.text())
def test_any_text_is_a_document_or_refused_with_a_line(text: str) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(text)
    assert error.value.line >= 1
