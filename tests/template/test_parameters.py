"""Wrong parameters are refused before anything is created."""

import pytest

from sandbox.stack.intrinsics import Resolver, TemplateError, checked_parameters
from tests.template.stacks import EXISTING, MADE, OWN_CREDENTIALS, VARIANTS, source_template

CLOUD = (
    "https://api.prefect.cloud/api/accounts/9a67b081-4f14-4035-b000-1f715f46231b"
    "/workspaces/b3a7f1c2-0b2d-4b8e-9d3a-5d7a1c2e4f60"
)
TAKEN = [
    ("PrefectApiUrl", CLOUD),
    ("PrefectApiUrl", "http://127.0.0.1:4200/api"),
    ("PrefectApiUrl", "https://tools.example.org/prefect/api"),
    ("OutputPrefix", "cruises/2026/"),
    ("AlertEmail", "night.watch+sonar@example.org"),
    ("SubnetIds", "subnet-0123abcd,subnet-0123456789abcdef0"),
    ("ImageRepository", "survey/echodrop"),
    ("NotifyBlock", "slack-webhook/night-watch"),
    ("ArchiveBucketArns", "arn:aws:s3:::archive,arn:aws:s3:::older.files"),
    ("ArchiveBucketArns", "arn:aws-us-gov:s3:::archive"),
    ("ArchiveKeyArns", EXISTING["ArchiveKeyArns"]),
]
REFUSED = [
    ("PrefectApiUrl", "https://app.prefect.cloud/account/1/workspace/2"),
    ("PrefectApiUrl", "prefect.example.org/api"),
    ("PrefectApiUrl", "https://user:password@prefect.example.org/api"),
    ("PrefectAuth", "password"),
    ("PrefectSecretArn", "prefect"),
    # Without the six characters at its end IAM would match no secret.
    ("PrefectSecretArn", "arn:aws:secretsmanager:us-east-1:123456789012:secret:prefect"),
    ("LiveConcurrency", "0"),
    ("AlertEmail", "somebody"),
    ("TaskImageDigest", "latest"),
    ("InboxBucketName", "Survey_Raw"),
    ("ArchiveBucketArns", "s3://archive"),
    ("ArchiveBucketArns", "archive"),
    ("ArchiveBucketArns", "arn:aws:s3:::archive, arn:aws:s3:::older"),
    ("ArchiveBucketArns", "arn:aws:s3:::archive/*"),
    # IAM matches no alias.
    ("InboxKeyArn", "arn:aws:kms:us-east-1:123456789012:alias/survey"),
    ("OutputKeyArn", "survey"),
    ("ArchiveKeyArns", "*"),
    ("OutputPrefix", "no-slash-at-the-end"),
    ("OutputPrefix", "/at-the-front/"),
    ("OutputPrefix", "every/*/"),
    ("RulesParameterName", "rules"),
    ("VpcId", "the-vpc"),
    ("SubnetIds", "subnet-0123abcd, subnet-0123abce"),
    ("CpuArchitecture", "arm64"),
    ("TriggerConcurrency", "1"),
    ("MaxReceiveCount", "3"),
    ("ArchiveDays", "0"),
    ("MonthlyBudgetUsd", "-1"),
    ("LogRetentionDays", "100"),
    ("WorkerCount", "many"),
    ("BackfillConcurrency", "0"),
    ("NotifyBlock", "https://hooks.example.org/secret"),
]
CONTRADICTIONS = [
    ({"InboxBucketName": "survey", "OutputBucketName": "survey"}, "must not be the inbox"),
    ({"ArchiveKeyArns": EXISTING["ArchiveKeyArns"]}, "ArchiveBucketArns is empty"),
    ({"VpcId": "vpc-0123abcd"}, "needs SubnetIds"),
    ({"SubnetIds": "subnet-0123abcd"}, "need the VpcId"),
    ({"TriggerInVpc": "yes"}, "only run in an existing VPC"),
    (
        {
            **{name: EXISTING[name] for name in ("VpcId", "SubnetIds", "TriggerInVpc")},
            "AssignPublicIp": "yes",
        },
        "need a NAT gateway",
    ),
    (
        {"PrefectAuth": "none", "PrefectSecretArn": EXISTING["PrefectSecretArn"]},
        "the secret would never be read",
    ),
    (
        {"PrefectAuth": "none", "WatchdogSecretArn": OWN_CREDENTIALS["WatchdogSecretArn"]},
        "the secret would never be read",
    ),
    (
        OWN_CREDENTIALS | {"PrefectSecretArn": EXISTING["PrefectSecretArn"]},
        "so PrefectSecretArn would never be read",
    ),
]


@pytest.mark.parametrize(("name", "value"), TAKEN)
def test_value_is_accepted(name: str, value: str) -> None:
    assert checked_parameters(source_template(), MADE | {name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(TemplateError, match=name):
        checked_parameters(source_template(), MADE | {name: value})


@pytest.mark.parametrize("name", MADE)
def test_what_only_an_operator_knows_has_no_default(name: str) -> None:
    with pytest.raises(TemplateError, match=f"{name}: needs a value"):
        checked_parameters(source_template(), {key: MADE[key] for key in MADE if key != name})


@pytest.mark.parametrize(("given", "said"), CONTRADICTIONS)
def test_contradiction_is_refused(given: dict[str, str], said: str) -> None:
    template = source_template()
    rules = Resolver(template, checked_parameters(template, MADE | given)).broken_rules()
    assert any(said in sentence for sentence in rules)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_complete_set_is_accepted(variant: str) -> None:
    template = source_template()
    assert not Resolver(template, checked_parameters(template, VARIANTS[variant])).broken_rules()


def test_every_rule_is_broken_by_something() -> None:
    template = source_template()
    said = " ".join(
        sentence
        for given, _ in CONTRADICTIONS
        for sentence in Resolver(
            template, checked_parameters(template, MADE | given)
        ).broken_rules()
    )
    for rule in template["Rules"].values():
        for assertion in rule["Assertions"]:
            assert assertion["AssertDescription"] in said
