from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_trigger.decisions.rules_document import Rules, parse_rules
from lambda_trigger.decisions.rules_table import RulesError

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
# Tables of older documents.
TIERS = """\
[[tier]]
name = "small"
cpu = 1024
memory = 4096
ephemeral_storage = 21
up_to_bytes = { EK60 = 100, ES70 = 100 }
[[tier]]
name = "large"
cpu = 4096
memory = 30720
ephemeral_storage = 40
up_to_bytes = { EK60 = 200, ES70 = 200 }
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


def test_archives_are_optional_names_or_arns() -> None:
    named = GOOD.replace("[size_limits]", 'archive_buckets = ["old-files", "older"]\n[size_limits]')
    assert parse_rules(named).archive_buckets == ("old-files", "older")
    by_arn = named.replace('"older"', '"arn:aws:s3:::older"')
    assert parse_rules(by_arn).archive_buckets == ("old-files", "older")
    assert parse_rules(GOOD).archive_buckets == ()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('"old-files"', "must be a list"),
        ("[3]", "3 is neither a bucket name nor its ARN"),
        ('["Old Files"]', "'Old Files' is neither"),
        ('["arn:aws:s3:us-east-1:123456789012:accesspoint/old"]', "is neither"),
        ('["arn:aws:s3:::echodrop-inbox"]', "echodrop-inbox is the inbox"),
        ('["echodrop-inbox"]', "echodrop-inbox is the inbox"),
        ('["old", "echodrop-output"]', "echodrop-output is the output bucket"),
    ],
)
def test_invalid_archives_are_refused_with_their_line(written: str, says: str) -> None:
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
        ('"echodrop-inbox"', '"Not A Bucket"', 2, "not a bucket name"),
        ('"echodrop-inbox"', "7", 2, "text in quotes"),
        ('"echodrop-output"', '"echodrop-inbox"', 3, "every output would be an upload again"),
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
        ('"survey/"', '"/survey/"', 13, "no key starts with '/'"),
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


@pytest.mark.parametrize("tiers", [TIERS, TIERS.replace("cpu = 4096", 'disk = "any"')])
def test_old_tiers_have_no_effect_and_give_a_warning(tiers: str) -> None:
    rules = parse_rules(GOOD + tiers)
    assert replace(rules, warnings=()) == parse_rules(GOOD)
    (warning,) = rules.warnings
    assert f"line {GOOD.count(chr(10)) + 1}: [[tier]] has no effect any more" in warning
    assert "Remove the tables" in warning
    assert "job_variables" in warning
    assert parse_rules(GOOD).warnings == ()


def test_sizes_that_are_not_tables_are_refused() -> None:
    with pytest.raises(RulesError, match=r"line 1: .*\[\[tier\]\] tables"):
        parse_rules("tier = 3\n" + GOOD)


@given(st.text())
def test_any_text_is_parsed_or_refused_with_a_line(text: str) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(text)
    assert error.value.line >= 1
