"""Who hands what to whom in the stack, and whether the policies on the way let it pass.

Which condition keys a service sends is AWS's to say, and where it sends none a
condition refuses it. Sources: "Using resource-based policies for Amazon
EventBridge" and "Troubleshooting Amazon EventBridge" (no Condition in a topic's
policy), "Amazon SNS key management" (what event sources ask of a topic's key; none
of the source keys from EventBridge), "Encrypt log data in CloudWatch Logs".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.template.policies import Body, NotEvaluatedError, Request, lets_through
from tests.template.stacks import Translated

ALARMS, RULES, TOPICS, BUCKETS, BUDGETS = (
    f"{name}.amazonaws.com" for name in ("cloudwatch", "events", "sns", "s3", "budgets")
)
ALARMS_TO_FUNCTIONS = "lambda.alarms.cloudwatch.amazonaws.com"
# By the kind of a target: what a service asks for to hand something over.
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
    """One thing handed over: by a resource (its logical id), in whose name, to which ARN."""

    source: str
    service: str
    target: str


def of_alarms(stack: Translated) -> Iterator[Delivery]:
    """List every action of every alarm."""
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        for state in ("AlarmActions", "OKActions", "InsufficientDataActions"):
            for target in alarm.get(state, []):
                to_function = stack.type_of(target) == "AWS::Lambda::Function"
                yield Delivery(name, ALARMS_TO_FUNCTIONS if to_function else ALARMS, target)


def of_rules(stack: Translated) -> Iterator[Delivery]:
    """List every target of every rule, and the dead letters of each."""
    for name, rule in stack.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            yield Delivery(name, RULES, target["Arn"])
            if dead := target.get("DeadLetterConfig"):
                yield Delivery(name, RULES, dead["Arn"])


def of_subscriptions(stack: Translated) -> Iterator[Delivery]:
    """List the subscriptions of queues and functions; the others ask no resource of the stack."""
    for subscription in stack.of_type("AWS::SNS::Subscription").values():
        topic = stack.named(subscription["TopicArn"])
        if subscription["Protocol"] in {"sqs", "lambda"}:
            yield Delivery(topic or subscription["TopicArn"], TOPICS, subscription["Endpoint"])
        if dead := subscription.get("RedrivePolicy"):
            yield Delivery(topic or "", TOPICS, dead["deadLetterTargetArn"])


def of_buckets(stack: Translated) -> Iterator[Delivery]:
    """List what buckets notify by themselves; EventBridge asks for no permission."""
    targets = {"Queue": "Queue", "Topic": "Topic", "Lambda": "Function"}
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        for kind, key in targets.items():
            for each in bucket.get("NotificationConfiguration", {}).get(
                f"{kind}Configurations", []
            ):
                yield Delivery(name, BUCKETS, each[key])


def of_budgets(stack: Translated) -> Iterator[Delivery]:
    """List the topics that budgets tell."""
    for name, budget in stack.of_type("AWS::Budgets::Budget").items():
        for notification in budget.get("NotificationsWithSubscribers", []):
            for subscriber in notification["Subscribers"]:
                if subscriber["SubscriptionType"] == "SNS":
                    yield Delivery(name, BUDGETS, subscriber["Address"])


def refusals(stack: Translated, delivery: Delivery) -> Iterator[str]:
    """List what stands in the way of a delivery: the target's policy, or that of its key."""
    kind = stack.type_of(delivery.target)
    way = f"{delivery.source} to {delivery.target}"
    if kind not in HANDED_OVER_BY:
        yield f"{way}: no such queue, topic or function in the stack"
        return
    try:
        asked = Request(
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
    """List what CloudWatch Logs may not do with the key of a log group."""
    service = f"logs.{stack.account.region}.{stack.account.url_suffix}"
    for name, group in stack.of_type("AWS::Logs::LogGroup").items():
        if "KmsKeyId" not in group:
            continue
        keys = {"kms:EncryptionContext:aws:logs:arn": log_group_arn(stack, group["LogGroupName"])}
        key = key_arn(stack, group["KmsKeyId"])
        for action in OF_LOGS:
            if not lets_through(_policy_on(stack, key), Request(service, action, key, keys)):
                yield f"{name}: {service} may not {action}"


def refusals_of_role(
    stack: Translated, role_arn: str, action: str, resource: str, keys: Mapping[str, str]
) -> Iterator[str]:
    """List what a role may not do that it is there for, by its own policies and those of its target.

    A topic's key that lets the account decide leaves it to the role's policies.
    """
    role = stack.named(role_arn)
    own = [
        item.body for item in stack.statements() if item.owner == role and "Resource" in item.body
    ]
    sent = {"aws:SecureTransport": "true", **keys}
    asked = [Request(role_arn, action, resource, sent)]
    if encrypting := stack.properties_at(resource).get("KmsMasterKeyId"):
        key = key_arn(stack, encrypting)
        asked += [Request(role_arn, each, key, sent) for each in TO_ENCRYPT]
    account = f"arn:{stack.account.partition}:iam::{stack.account.account}:root"
    for each in asked:
        if not lets_through(own, each):
            yield f"{role} may not {each.action} on {each.resource}"
        denied = [body for body in _policy_on(stack, each.resource) if body["Effect"] == "Deny"]
        if lets_through([*own, *denied], each) != lets_through(own, each):
            yield f"{each.resource} refuses {role}"
        by_account = Request(account, each.action, each.resource)
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
        NotEvaluatedError: the key is not the stack's, and nobody here knows its policy.
    """
    for name in stack.of_type("AWS::KMS::Key"):
        if given in {stack.arn(name), stack.resolver.resolve({"Ref": name})}:
            return stack.arn(name)
    raise NotEvaluatedError(f"the key {given}")


def _sent(stack: Translated, delivery: Delivery, kind: str) -> dict[str, str]:
    """Return the condition keys that come with a delivery."""
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
    """Leave out what a service does not take for a permission."""
    if (delivery.service, kind) != (RULES, "AWS::SNS::Topic"):
        return list(bodies)
    return [each for each in bodies if each["Effect"] == "Deny" or "Condition" not in each]


def _of_key(stack: Translated, delivery: Delivery, kind: str) -> Iterator[Request]:
    encrypting = stack.properties_at(delivery.target).get("KmsMasterKeyId")
    if kind == "AWS::Lambda::Function" or not encrypting:
        return
    keys = {} if delivery.service == RULES else _source(stack, delivery)
    for action in TO_ENCRYPT:
        yield Request(delivery.service, action, key_arn(stack, encrypting), keys)


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
    """Return the statement that Lambda makes of a permission."""
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
