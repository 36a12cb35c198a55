"""Which resources are created and which existing ones are used, by the parameters."""

import re
from typing import Any

import pytest

from lambda_trigger.decisions.rules_document import parse_rules
from tests.template.invariants.everything import INVARIANTS
from tests.template.stacks import EXISTING, MADE, VARIANTS, Translated, source_template, translate

NETWORK = {
    "InternetGateway",
    "InternetGatewayAttachment",
    "RouteOut",
    "Routes",
    "RoutesOfSubnetA",
    "RoutesOfSubnetB",
    "S3Endpoint",
    "SubnetA",
    "SubnetB",
    "Vpc",
}
READ_THE_ARCHIVE = {"OperationsArchivePolicy", "TaskArchivePolicy", "TriggerArchivePolicy"}
READ_THE_ARCHIVE |= {"ArchiveRestoreRule"}
USE_THE_KEYS = {"ArchiveKeyPolicy", "InboxKeyPolicy", "OutputKeyPolicy"}
READS_THE_SECRET = {
    "ExecutionSecretPolicy",
    "TriggerSecretPolicy",
    "WatchdogSecretPolicy",
    "WorkerExecutionSecretPolicy",
}
WATCHES_FOR_QUIET = {"QuietInboxAlarm", "WatchdogInboxPolicy"}
# By variant: the conditional resources that exist.
CONDITIONAL = {
    "all made": NETWORK
    | READS_THE_SECRET
    | {"InboxBucket", "InboxBucketPolicy", "OutputBucket", "OutputBucketPolicy"}
    | {"PrefectSecret", "RulesDocument", "Budget"},
    "all existing": READS_THE_SECRET
    | READ_THE_ARCHIVE
    | USE_THE_KEYS
    | WATCHES_FOR_QUIET
    | {"Budget"},
    "server without auth": NETWORK
    | READ_THE_ARCHIVE
    | {"InboxBucket", "InboxBucketPolicy", "OutputBucket", "OutputBucketPolicy", "RulesDocument"},
    "a credential each": NETWORK
    | READS_THE_SECRET
    | {"InboxBucket", "InboxBucketPolicy", "OutputBucket", "OutputBucketPolicy", "RulesDocument"}
    | {"Budget"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_condition_controls_its_resources(variant: str, stacks: dict[str, Translated]) -> None:
    stack = stacks[variant]
    conditional = {
        name for name, item in stack.template["Resources"].items() if "Condition" in item
    }
    assert conditional & set(stack.resources) == CONDITIONAL[variant]


@pytest.mark.parametrize("condition", source_template()["Conditions"])
def test_each_condition_is_tested_true_and_false(
    condition: str, stacks: dict[str, Translated]
) -> None:
    assert {stack.resolver.condition(condition) for stack in stacks.values()} == {True, False}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_output_has_a_value(variant: str, stacks: dict[str, Translated]) -> None:
    stack = stacks[variant]
    for name, output in stack.template["Outputs"].items():
        value = stack.resolver.resolve(output["Value"])
        may_be_empty = {"NotifyBlock"}
        if variant == "server without auth":
            may_be_empty |= {"PrefectSecretName", "BudgetName"}
        assert value or name in may_be_empty, name


def test_the_secret_has_the_name_for_its_kind_of_server(
    stacks: dict[str, Translated],
) -> None:
    def container(variant: str) -> Any:
        return stacks[variant].resources["ConversionTask"]["Properties"]["ContainerDefinitions"][0]

    assert [item["Name"] for item in container("all made")["Secrets"]] == ["PREFECT_API_KEY"]
    assert [item["Name"] for item in container("all existing")["Secrets"]] == [
        "PREFECT_API_AUTH_STRING"
    ]
    assert "Secrets" not in container("server without auth")


def test_the_rules_name_the_archive_if_there_is_one(stacks: dict[str, Translated]) -> None:
    def archives(variant: str) -> tuple[str, ...]:
        document = stacks[variant].resources["RulesDocument"]["Properties"]["Value"]
        return parse_rules(document).archive_buckets

    assert archives("all made") == ()
    assert archives("server without auth") == ("survey-archive",)


def test_the_rules_name_each_of_several_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    given = {"ArchiveBucketArns": EXISTING["ArchiveBucketArns"]}
    stack = translate(source_template(), MADE | given)
    document = stack.resources["RulesDocument"]["Properties"]["Value"]
    assert parse_rules(document).archive_buckets == ("survey-archive", "cruises-2007")


@pytest.mark.parametrize("name", ["InboxKeyArn", "OutputKeyArn"])
def test_a_created_bucket_is_encrypted_with_the_given_key(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    stack = translate(source_template(), MADE | {name: EXISTING[name]})
    check = INVARIANTS["created_buckets_are_encrypted_with_the_given_key"]
    assert list(check(stack)) == []
    bucket = stack.resources[name.replace("KeyArn", "Bucket")]["Properties"]
    assert EXISTING[name] in str(bucket["BucketEncryption"])


def test_tasks_have_a_public_address_only_without_another_way_out(
    stacks: dict[str, Translated],
) -> None:
    def address(stack: Translated) -> Any:
        network = stack.resources["WorkerService"]["Properties"]["NetworkConfiguration"]
        return network["AwsvpcConfiguration"]["AssignPublicIp"]

    assert address(stacks["all made"]) == "ENABLED"
    assert address(stacks["all existing"]) == "DISABLED"


def test_the_trigger_is_in_the_vpc_only_if_requested(stacks: dict[str, Translated]) -> None:
    assert "VpcConfig" not in stacks["all made"].resources["Trigger"]["Properties"]
    inside = stacks["all existing"].resources["Trigger"]["Properties"]["VpcConfig"]
    assert inside["SubnetIds"] == EXISTING["SubnetIds"].split(",")
    assert "ManagedPolicyArns" not in stacks["all made"].resources["TriggerRole"]["Properties"]


def test_the_port_of_the_server_is_allowed(stacks: dict[str, Translated]) -> None:
    def ports(variant: str) -> set[int]:
        group = stacks[variant].resources["OutboundOnly"]["Properties"]
        return {int(rule["ToPort"]) for rule in group["SecurityGroupEgress"]}

    assert ports("all made") == {443}
    assert ports("all existing") == {443, 4200}


def test_nothing_refers_to_a_missing_resource() -> None:
    broken = source_template()
    del broken["Resources"]["InternetGatewayAttachment"]["Condition"]
    with pytest.raises(ValueError, match=re.compile("Vpc: .*no such resource")):
        translate(broken, EXISTING)
    translate(broken, MADE)


def test_a_role_that_sam_creates_has_the_boundary_too() -> None:
    given = source_template()
    function = given["Resources"]["Watchdog"]["Properties"]
    extra = {name: function[name] for name in ("Handler", "Runtime")} | {"CodeUri": "s3://b/k.zip"}
    given["Resources"]["Extra"] = {"Type": "AWS::Serverless::Function", "Properties": extra}
    roles = translate(given, EXISTING).of_type("AWS::IAM::Role")
    assert roles["ExtraRole"]["PermissionsBoundary"] == EXISTING["PermissionsBoundary"]
    assert (
        "PermissionsBoundary" not in translate(given, MADE).of_type("AWS::IAM::Role")["ExtraRole"]
    )
