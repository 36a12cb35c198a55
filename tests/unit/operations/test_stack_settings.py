"""The deployed stack supplies settings that are missing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from lambda_trigger.settings import read_settings
from operations.clients.stack_settings import SettingMissingError, complete_environment
from sandbox.parts.environments import aws_environment

OUTPUTS = {
    "PrefectUrl": "http://prefect/api",
    "RulesParameter": "/rules",
    "UploadQueueUrl": "http://queue",
    "DeadLettersUrl": "http://dead",
    "PrefectSecretName": "arn:secret",
}


@pytest.fixture
def stack(aws: Callable[[str], Any], aws_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, text in aws_environment(aws_url).items():
        monkeypatch.setenv(name, text)
    name = f"stack-{uuid.uuid4().hex[:8]}"
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {key: {"Value": value} for key, value in OUTPUTS.items()},
    }
    aws("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    return name


def test_missing_settings_come_from_the_stack_and_others_stay(stack: str) -> None:
    variables = {"ECHODROP_STACK": stack, "ECHODROP_QUEUE_URL": "mine", "PREFECT_API_KEY": "own"}
    complete_environment({"PREFECT_API_URL": None, "ECHODROP_QUEUE_URL": None}, None, variables)
    assert variables["PREFECT_API_URL"] == "http://prefect/api"
    assert variables["ECHODROP_QUEUE_URL"] == "mine"
    assert variables["ECHODROP_DEAD_LETTERS_URL"] == "http://dead"
    assert "PREFECT_AUTH_SECRET_ARN" not in variables


@pytest.mark.parametrize("named", [True, False])
def test_the_settings_are_sufficient_for_the_triggers_code(
    stack: str, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    monkeypatch.setattr("operations.clients.stack_settings.DEFAULT_STACK", stack)
    variables = {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "an operator's",
        "AWS_SECRET_ACCESS_KEY": "own",
    }
    complete_environment({"PREFECT_API_URL": None}, stack if named else None, variables)
    assert read_settings(variables).stack == stack


def test_a_named_stack_takes_precedence_over_the_environment(stack: str) -> None:
    variables = {"ECHODROP_QUEUE_URL": "another stack's"}
    complete_environment({"ECHODROP_QUEUE_URL": None}, stack, variables)
    assert variables["ECHODROP_QUEUE_URL"] == "http://queue"
    assert variables["PREFECT_AUTH_SECRET_ARN"] == "arn:secret"


def test_no_stack_is_read_if_nothing_is_missing() -> None:
    variables = {"PREFECT_API_URL": "http://here/api", "ECHODROP_STACK": "no such"}
    complete_environment({"PREFECT_API_URL": None, "ECHODROP_QUEUE_URL": "given"}, None, variables)
    assert variables == {"PREFECT_API_URL": "http://here/api", "ECHODROP_STACK": "no such"}


def test_a_setting_that_is_missing_everywhere_is_named(stack: str) -> None:
    with pytest.raises(SettingMissingError, match=r"PREFECT_API_URL; and stack no-such can't"):
        complete_environment({"PREFECT_API_URL": None}, None, {"ECHODROP_STACK": "no-such"})
    with pytest.raises(
        SettingMissingError, match=rf"not set: OTHER; stack {stack} has no output for it"
    ):
        complete_environment({"OTHER": None}, stack, {})
