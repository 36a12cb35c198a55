"""Policies are evaluated as in IAM."""

from typing import Any

import pytest

from tests.template.policies import AccessRequest, NotEvaluatedError, lets_through

TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
RULE = "arn:aws:events:us-east-1:123456789012:rule/failed"
ASKED = AccessRequest(
    "events.amazonaws.com", "sns:Publish", TOPIC, {"aws:SourceArn": RULE, "aws:SourceAccount": "1"}
)


def allow(**elements: Any) -> dict[str, Any]:
    body = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": TOPIC,
    }
    return body | elements


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, True),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}}, True),
        ({"Principal": {"Service": "cloudwatch.amazonaws.com"}}, False),
        ({"Action": ["SNS:Pub*"]}, True),
        ({"Action": "sns:Subscribe"}, False),
        ({"Resource": "*"}, True),
        ({"Resource": TOPIC + "2"}, False),
        ({"Resource": "arn:aws:sns:*:123456789012:a?erts"}, True),
        ({"Condition": {"ArnEquals": {"AWS:SourceArn": [RULE + "2", RULE]}}}, True),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/*"}}}, True),
        # In an ARN a star matches within one part, in a string it matches anything.
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:rule/*"}}}, False),
        ({"Condition": {"StringLike": {"aws:SourceArn": "arn:aws:events:*:rule/*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "2"}}}, False),
        ({"Condition": {"StringNotEquals": {"aws:SourceAccount": "2"}}}, True),
        ({"Condition": {"ArnNotLike": {"aws:SourceArn": RULE}}}, False),
        # All conditions must hold.
        (
            {
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": "1"},
                    "ArnLike": {"aws:SourceArn": TOPIC},
                }
            },
            False,
        ),
        # A missing key fails a condition, unless that is negated or has IfExists.
        ({"Condition": {"StringEquals": {"aws:SourceOrgID": "o"}}}, False),
        ({"Condition": {"StringNotEquals": {"aws:SourceOrgID": "o"}}}, True),
        ({"Condition": {"StringEqualsIfExists": {"aws:SourceOrgID": "o"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, False),
    ],
)
def test_a_statement_applies(elements: dict[str, Any], *, expected: bool) -> None:
    assert lets_through([allow(**elements)], ASKED) is expected


def test_a_deny_wins_and_the_default_is_deny() -> None:
    deny = allow(Effect="Deny", Condition={"StringEquals": {"aws:SourceAccount": "1"}})
    other = allow(Effect="Deny", Condition={"StringEquals": {"aws:SourceAccount": "2"}})
    assert not lets_through([], ASKED)
    assert not lets_through([allow(), deny], ASKED)
    assert lets_through([allow(), other], ASKED)


@pytest.mark.parametrize(
    "elements",
    [{"NotAction": "sns:Subscribe"}, {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}],
)
def test_an_unknown_element_raises(elements: dict[str, Any]) -> None:
    with pytest.raises(NotEvaluatedError):
        lets_through([allow(**elements)], ASKED)
