"""The image repository satisfies its rules, and each check detects its fault."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from samtranslator.yaml_helper import (  # type: ignore[import-untyped] # no type information
    yaml_parse,
)

from flows.deployment.stack_images import TARGETS, image_tag
from release.code_version import ROOT
from release.plan import REPOSITORY_TEMPLATE

Properties = dict[str, Any]


def repository() -> Properties:
    template = yaml_parse((ROOT / REPOSITORY_TEMPLATE).read_text())
    (resource,) = template["Resources"].values()
    properties: Properties = resource["Properties"]
    return properties


def violations(properties: Properties) -> Iterator[str]:
    if properties.get("ImageTagMutability") != "IMMUTABLE":
        yield "a tag can be moved to another image"
    if properties.get("ImageScanningConfiguration") != {"ScanOnPush": True}:
        yield "nothing is scanned"
    if properties.get("EmptyOnDelete") is not True:
        yield "it cannot be taken away"
    text = properties.get("LifecyclePolicy", {}).get("LifecyclePolicyText", '{"rules": []}')
    rules = json.loads(text)["rules"]
    if len({rule["rulePriority"] for rule in rules}) != len(rules):
        yield "ECR refuses two rules of one priority"
    selections = [rule["selection"] for rule in rules]
    if not any(each["tagStatus"] == "untagged" for each in selections):
        yield "pushes without a tag stay for ever"
    for target in TARGETS:
        tag = image_tag(target, "0.1.0-abc", "ARM64")
        counted = [
            each
            for each in selections
            if any(tag.startswith(prefix) for prefix in each.get("tagPrefixList", []))
        ]
        if not counted:
            yield f"{target}: images stay for ever"
        for each in counted:
            # By age, the image in use would be deleted if there is no release for a while.
            if each["countType"] != "imageCountMoreThan" or each["countNumber"] < 10:
                yield f"{target}: the image in use may expire"


def test_it_has_no_violations() -> None:
    assert list(violations(repository())) == []


def _rules(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Properties], None]:
    def apply(properties: Properties) -> None:
        policy = properties["LifecyclePolicy"]
        policy_document = json.loads(policy["LifecyclePolicyText"])
        change(policy_document["rules"])
        policy["LifecyclePolicyText"] = json.dumps(policy_document)

    return apply


@pytest.mark.parametrize(
    "break_it",
    [
        lambda properties: properties.update(ImageTagMutability="MUTABLE"),
        lambda properties: properties.pop("ImageTagMutability"),
        lambda properties: properties.pop("ImageScanningConfiguration"),
        lambda properties: properties.pop("EmptyOnDelete"),
        lambda properties: properties.pop("LifecyclePolicy"),
        _rules(lambda rules: rules.pop(0)),
        _rules(lambda rules: rules.pop(1)),
        _rules(lambda rules: rules[1].update(rulePriority=1)),
        _rules(lambda rules: rules[2]["selection"].update(countType="sinceImagePushed")),
        _rules(lambda rules: rules[2]["selection"].update(countNumber=1)),
    ],
)
def test_each_fault_is_seen(break_it: Callable[[Properties], None]) -> None:
    properties = repository()
    break_it(properties)
    assert list(violations(properties))
