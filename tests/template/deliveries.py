"""Deliveries between parts of the stack, and whether all policies allow them.

AWS documents the condition keys that a service sends; if it sends none, a
condition denies the request. Sources: "Using resource-based policies for Amazon
EventBridge" and "Troubleshooting Amazon EventBridge" (no Condition in a topic's
policy), "Amazon SNS key management" (the rights that event sources need on a topic's
key; EventBridge sends none of the source keys), "Encrypt log data in CloudWatch Logs".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.template.policies import AccessRequest, Body, NotEvaluatedError, lets_through
from tests.template.stacks import Translated

ALARMS, RULES, TOPICS, BUCKETS, BUDGETS = (
    f"{name}.amazonaws.com" for name in ("cloudwatch", "events", "sns", "s3", "budgets")
)
ALARMS_TO_FUNCTIONS = "lambda.alarms.cloudwatch.amazonaws.com"
# By the kind of a target: the action that a service needs for a delivery.
HANDED_OVER_BY = {
    "AWS::SNS::Topic": "sns:Publish",
    "AWS::SQS::Queue": "sqs:SendMessage",
    "AWS::Lambda::Function": "lambda:InvokeFunction",
}
TO_ENCRYPT = ("kms:GenerateDataKey", "kms:Decrypt")
OF_LOGS = (
    *("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
    *("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"),
)


@dataclass(frozen=True)
class Delivery:
    """One delivery: the sending resource (its logical id), the principal, and the target's ARN."""

    source: str
    service: str
    target: str


def of_alarms(stack: Translated) -> Iterator[Delivery]:
    """Yield every action of every alarm."""
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        for state in ("AlarmActions", "OKActions", "InsufficientDataActions"):
            for target in alarm.get(state, []):
                to_function = stack.type_of(target) == "AWS::Lambda::Function"
                yield Delivery(name, ALARMS_TO_FUNCTIONS if to_function else ALARMS, target)


def of_rules(stack: Translated) -> Iterator[Delivery]:
    """Yield every target of every rule, and the dead-letter queue of each."""
    for name, rule in stack.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            yield Delivery(name, RULES, target["Arn"])
            if dead := target.get("DeadLetterConfig"):
                yield Delivery(name, RULES, dead["Arn"])


def of_subscriptions(stack: Translated) -> Iterator[Delivery]:
    """Yield the subscriptions of queues and functions; the others need no resource of the stack."""
    for subscription in stack.of_type("AWS::SNS::Subscription").values():
        topic = stack.named(subscription["TopicArn"])
        if subscription["Protocol"] in {"sqs", "lambda"}:
            yield Delivery(topic or subscription["TopicArn"], TOPICS, subscription["Endpoint"])
        if dead := subscription.get("RedrivePolicy"):
            yield Delivery(topic or "", TOPICS, dead["deadLetterTargetArn"])


def of_buckets(stack: Translated) -> Iterator[Delivery]:
    """Yield the notifications of buckets; EventBridge needs no permission."""
    targets = {"Queue": "Queue", "Topic": "Topic", "Lambda": "Function"}
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        for kind, key in targets.items():
            for each in bucket.get("NotificationConfiguration", {}).get(
                f"{kind}Configurations", []
            ):
                yield Delivery(name, BUCKETS, each[key])


def of_budgets(stack: Translated) -> Iterator[Delivery]:
    """Yield the topics that budgets notify."""
    for name, budget in stack.of_type("AWS::Budgets::Budget").items():
        for notification in budget.get("NotificationsWithSubscribers", []):
            for subscriber in notification["Subscribers"]:
                if subscriber["SubscriptionType"] == "SNS":
                    yield Delivery(name, BUDGETS, subscriber["Address"])


def refusals(stack: Translated, delivery: Delivery) -> Iterator[str]:
    """Yield the refusals of a delivery: by the target's policy, or by that of its key."""
    kind = stack.type_of(delivery.target)
    way = f"{delivery.source} to {delivery.target}"
    if kind not in HANDED_OVER_BY:
        yield f"{way}: no such queue, topic or function in the stack"
        return
    try:
        asked = AccessRequest(
            delivery.service, HANDED_OVER_BY[kind], delivery.target, _sent(stack, delivery, kind)
        )
        if not lets_through(_taken(delivery, kind, _policy_on(stack, delivery.target)), asked):
            yield f"{way}: {delivery.service} may not {asked.action}"
        yield from (
            f"{way}: {delivery.service} may not {each.action} with its key"
            for each in _of_key(stack, delivery, kind)
            if not lets_through(_policy_on(stack, each.resource), each)
        )
    except NotEvaluatedError as error:
        yield f"{way}: {error}"


def refusals_of_logs(stack: Translated) -> Iterator[str]:
    """Yield what CloudWatch Logs may not do with the key of a log group."""
    service = f"logs.{stack.account.region}.{stack.account.url_suffix}"
    for name, group in stack.of_type("AWS::Logs::LogGroup").items():
        if "KmsKeyId" not in group:
            continue
        keys = {"kms:EncryptionContext:aws:logs:arn": log_group_arn(stack, group["LogGroupName"])}
        key = key_arn(stack, group["KmsKeyId"])
        for action in OF_LOGS:
            if not lets_through(_policy_on(stack, key), AccessRequest(service, action, key, keys)):
                yield f"{name}: {service} may not {action}"


def refusals_of_role(
    stack: Translated, role_arn: str, action: str, resource: str, keys: Mapping[str, str]
) -> Iterator[str]:
    """Yield what a role needs but may not do, by its own policies and those of its target.

    If a topic's key leaves the decision to the account, the role's policies decide.
    """
    role = stack.named(role_arn)
    own = [
        item.body for item in stack.statements() if item.owner == role and "Resource" in item.body
    ]
    sent = {"aws:SecureTransport": "true", **keys}
    asked = [AccessRequest(role_arn, action, resource, sent)]
    if encrypting := stack.properties_at(resource).get("KmsMasterKeyId"):
        key = key_arn(stack, encrypting)
        asked += [AccessRequest(role_arn, each, key, sent) for each in TO_ENCRYPT]
    account = f"arn:{stack.account.partition}:iam::{stack.account.account}:root"
    for each in asked:
        if not lets_through(own, each):
            yield f"{role} may not {each.action} on {each.resource}"
        denied = [body for body in _policy_on(stack, each.resource) if body["Effect"] == "Deny"]
        if lets_through([*own, *denied], each) != lets_through(own, each):
            yield f"{each.resource} refuses {role}"
        by_account = AccessRequest(account, each.action, each.resource)
        if ":kms:" in each.resource and not lets_through(
            _policy_on(stack, each.resource), by_account
        ):
            yield f"{each.resource} leaves nothing to {role}'s policies"


def log_group_arn(stack: Translated, name: str) -> str:
    """Return the ARN of a log group by its name."""
    where = stack.account
    return f"arn:{where.partition}:logs:{where.region}:{where.account}:log-group:{name}"


def key_arn(stack: Translated, given: str) -> str:
    """Return the ARN of a key of the stack, which is named by its id or its ARN.

    Raises:
        NotEvaluatedError: the key is not the stack's, so its policy is unknown.
    """
    for name in stack.of_type("AWS::KMS::Key"):
        if given in {stack.arn(name), stack.resolver.resolve({"Ref": name})}:
            return stack.arn(name)
    raise NotEvaluatedError(f"the key {given}")


def _sent(stack: Translated, delivery: Delivery, kind: str) -> dict[str, str]:
    """Return the condition keys of a delivery."""
    if (delivery.service, kind) == (RULES, "AWS::SNS::Topic"):
        return {}
    return {"aws:SecureTransport": "true"} | _source(stack, delivery)


def _source(stack: Translated, delivery: Delivery) -> dict[str, str]:
    where = stack.account
    arn = (
        f"arn:{where.partition}:budgets::{where.account}:*"
        if delivery.service == BUDGETS
        else stack.arn(delivery.source)
    )
    return {"aws:SourceArn": arn, "aws:SourceAccount": where.account}


def _taken(delivery: Delivery, kind: str, bodies: Sequence[Body]) -> list[Body]:
    """Leave out statements that a service does not accept as a permission."""
    if (delivery.service, kind) != (RULES, "AWS::SNS::Topic"):
        return list(bodies)
    return [each for each in bodies if each["Effect"] == "Deny" or "Condition" not in each]


def _of_key(stack: Translated, delivery: Delivery, kind: str) -> Iterator[AccessRequest]:
    encrypting = stack.properties_at(delivery.target).get("KmsMasterKeyId")
    if kind == "AWS::Lambda::Function" or not encrypting:
        return
    keys = {} if delivery.service == RULES else _source(stack, delivery)
    for action in TO_ENCRYPT:
        yield AccessRequest(delivery.service, action, key_arn(stack, encrypting), keys)


def _policy_on(stack: Translated, arn: str) -> list[Body]:
    """Return the statements of the policy on a resource."""
    found: list[Body] = []
    for name, queues in stack.of_type("AWS::SQS::QueuePolicy").items():
        if arn in {stack.arn_of_queue(url) for url in queues["Queues"]}:
            found += _statements(stack, name)
    for name, topics in stack.of_type("AWS::SNS::TopicPolicy").items():
        if arn in topics["Topics"]:
            found += _statements(stack, name)
    for name, key in stack.of_type("AWS::KMS::Key").items():
        if arn == stack.arn(name):
            found += key["KeyPolicy"]["Statement"]
    for permission in stack.of_type("AWS::Lambda::Permission").values():
        if arn.rpartition(":")[2] == permission["FunctionName"].rpartition(":")[2]:
            found.append(_as_statement(permission, arn))
    return found


def _statements(stack: Translated, name: str) -> list[Body]:
    return list(stack.resources[name]["Properties"]["PolicyDocument"]["Statement"])


def _as_statement(permission: Mapping[str, Any], arn: str) -> Body:
    """Return the statement that Lambda creates from a permission."""
    tests: dict[str, Any] = {}
    if "SourceArn" in permission:
        tests["ArnLike"] = {"aws:SourceArn": permission["SourceArn"]}
    if "SourceAccount" in permission:
        tests["StringEquals"] = {"aws:SourceAccount": permission["SourceAccount"]}
    return {
        "Effect": "Allow",
        "Principal": {"Service": permission["Principal"]},
        "Action": permission["Action"],
        "Resource": arn,
        "Condition": tests,
    }
