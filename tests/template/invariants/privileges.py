"""Each role has only the rights that it needs."""

import json
from collections.abc import Iterator

from tests.template.invariants.registry import (
    BOUNDS,
    WITHOUT_RESOURCE,
    archives,
    data_keys,
    invariant,
    is_bounded,
    listed,
)
from tests.template.stacks import Translated


@invariant
def every_grant_names_its_resources(stack: Translated) -> Iterator[str]:
    for statement in stack.statements():
        if not statement.allows or statement.kind in {"AWS::KMS::Key", *BOUNDS}:
            continue  # a key's own policy can only say "*", which is the key
        if {"NotAction", "NotResource", "NotPrincipal"} & set(statement.body):
            yield f"{statement.owner}: grants by exception"
        actions = set(statement.listed("Action"))
        for action in actions:
            if "*" in action:
                yield f"{statement.owner}: {action}"
        for resource in statement.listed("Resource"):
            parts = str(resource).split(":", 5)
            if resource == "*":
                if not actions <= WITHOUT_RESOURCE and not is_bounded(statement.body):
                    yield f"{statement.owner}: {sorted(actions)} on everything"
            elif len(parts) < 6 or "*" in parts[2] or parts[5].startswith(("*", "/")):
                yield f"{statement.owner}: {resource} names no resource"


@invariant
def every_principal_is_named(stack: Translated) -> Iterator[str]:
    for statement in stack.statements():
        principal = statement.body.get("Principal", {})
        if statement.kind not in BOUNDS and statement.allows and "*" in json.dumps(principal):
            yield f"{statement.owner} allows everybody"


@invariant
def services_act_only_for_this_account(stack: Translated) -> Iterator[str]:
    for statement in stack.statements():
        principal = statement.body.get("Principal", {})
        services = listed(principal.get("Service", [])) if isinstance(principal, dict) else []
        # Lambda assumes its roles itself and sends no source with it.
        if not statement.allows or not services or services == ["lambda.amazonaws.com"]:
            continue
        # EventBridge sends no source to a topic or its key, so a condition would deny it
        # ("Troubleshooting Amazon EventBridge"; "Amazon SNS key management").
        without_source = {"AWS::KMS::Key", "AWS::SNS::TopicPolicy"}
        if statement.kind in without_source and services == ["events.amazonaws.com"]:
            continue
        condition = json.dumps(statement.body.get("Condition", {}))
        if "123456789012" not in condition:
            yield f"{statement.owner}: {services} may act for other accounts"


@invariant
def only_functions_in_a_vpc_have_a_managed_policy(stack: Translated) -> Iterator[str]:
    # It grants network interfaces on "*", because they have no names before they exist.
    in_vpc = stack.resolver.resolve({"Ref": "TriggerInVpc"}) == "yes"
    interfaces = (
        f"arn:{stack.account.partition}:iam::aws:policy/service-role/"
        "AWSLambdaVPCAccessExecutionRole"
    )
    for name, role in stack.of_type("AWS::IAM::Role").items():
        allowed = [interfaces] if in_vpc and name in {"TriggerRole", "WatchdogRole"} else []
        if role.get("ManagedPolicyArns", []) != allowed:
            yield f"{name} has {role.get('ManagedPolicyArns', [])}"


@invariant
def roles_are_passed_only_to_tasks(stack: Translated) -> Iterator[str]:
    passed = {stack.arn(role) for role in ("ExecutionRole", "TaskRole", "OperationsRole")}
    to_tasks = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    passing = [item for item in stack.statements() if "iam:PassRole" in item.listed("Action")]
    for statement in passing:
        if (
            set(statement.listed("Resource")) != passed
            or statement.body.get("Condition") != to_tasks
        ):
            yield f"{statement.owner} may pass {statement.listed('Resource')}"
    if [statement.owner for statement in passing] != ["WorkerRole"]:
        yield "others than the worker pass roles"


@invariant
def tasks_read_inbox_and_archive_and_write_below_the_output_prefix(
    stack: Translated,
) -> Iterator[str]:
    outputs = stack.template["Outputs"]
    inbox = stack.resolver.resolve(outputs["Inbox"]["Value"])
    output = stack.resolver.resolve(outputs["Output"]["Value"])
    prefix = stack.resolver.resolve({"Ref": "OutputPrefix"})
    may = {
        (action, resource)
        for statement in stack.statements()
        if statement.owner == "TaskRole" and statement.kind != "AssumeRole"
        for action in statement.listed("Action")
        for resource in statement.listed("Resource")
    }
    reads = {"s3:GetObject", "s3:GetObjectVersion"}
    writes = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}
    wanted = {(action, stack.bucket_arn(f"{inbox}/*")) for action in reads}
    wanted |= {(action, stack.bucket_arn(f"{output}/{prefix}*")) for action in writes}
    wanted |= {("s3:ListBucket", stack.bucket_arn(bucket)) for bucket in (inbox, output)}
    wanted.add(("s3:ListBucketMultipartUploads", stack.bucket_arn(output)))
    # A file with a fault gets tags, only in the inbox, and an alert is sent.
    marks = {
        f"s3:{verb}Object{kind}Tagging"
        for verb in ("Get", "Put", "Delete")
        for kind in ("", "Version")
    }
    wanted |= {(action, stack.bucket_arn(f"{inbox}/*")) for action in marks}
    wanted |= {("sns:Publish", stack.arn(topic)) for topic in ("AlertTopic", "NoticeTopic")}
    wanted |= {(action, stack.arn("Key")) for action in ("kms:Decrypt", "kms:GenerateDataKey")}
    for archive in archives(stack):
        wanted |= {(action, f"{archive}/*") for action in reads}
        wanted.add(("s3:ListBucket", archive))
    may = {(action, resource) for action, resource in may if resource not in data_keys(stack)}
    for action, resource in sorted(may ^ wanted):
        yield f"{action} on {resource}"


@invariant
def the_trigger_reads_only_inbox_and_archive(stack: Translated) -> Iterator[str]:
    inbox = stack.resolver.resolve(stack.template["Outputs"]["Inbox"]["Value"])
    may = {
        (action, resource)
        for statement in stack.statements()
        if statement.owner == "TriggerRole"
        for action in statement.listed("Action")
        if action.startswith("s3:")
        for resource in statement.listed("Resource")
    }
    wanted = {
        grant
        for bucket in (stack.bucket_arn(inbox), *archives(stack))
        for grant in (
            ("s3:GetObject", f"{bucket}/*"),
            ("s3:GetObjectTagging", f"{bucket}/*"),
            ("s3:ListBucket", bucket),
        )
    }
    for action, resource in sorted(may ^ wanted):
        yield f"{action} on {resource}"


@invariant
def bucket_keys_serve_the_roles_that_use_the_bucket(stack: Translated) -> Iterator[str]:
    """A role has the same rights on a bucket's key as on its objects, only through S3."""
    reads, writes = {"kms:Decrypt"}, {"kms:Decrypt", "kms:GenerateDataKey"}
    by_bucket = {
        stack.bucket_arn(stack.resolver.resolve(stack.template["Outputs"][name]["Value"])): keys
        for name, keys in (("Inbox", "InboxKeyArn"), ("Output", "OutputKeyArn"))
    }
    by_bucket |= dict.fromkeys(archives(stack), "ArchiveKeyArns")
    wanted = set()
    for bucket, parameter in by_bucket.items():
        keys = filter(None, stack.resolver.resolve({"Ref": parameter}).split(","))
        touching = [
            (item.owner, action)
            for item in stack.statements()
            if any(str(each).startswith(f"{bucket}/") for each in item.listed("Resource"))
            for action in item.listed("Action")
        ]
        for key in keys:
            wanted |= {(who, one, key) for who, _ in touching for one in reads}
            putting = {who for who, action in touching if action == "s3:PutObject"}
            wanted |= {(who, one, key) for who in putting for one in writes}
    may = set()
    for item in stack.statements():
        for key in set(item.listed("Resource")) & data_keys(stack):
            may |= {(item.owner, action, key) for action in item.listed("Action")}
            ((test, condition),) = item.body.get("Condition", {"none": {}}).items()
            through = condition.get("kms:ViaService", "")
            region = "*" if test == "StringLike" else stack.account.region
            if through != f"s3.{region}.{stack.account.url_suffix}":
                yield f"{item.owner} may use {key} other than through S3"
            if region != key.split(":")[3] and region != "*":
                yield f"{item.owner} may use {key} only in another region"
    for owner, action, key in sorted(may ^ wanted):
        yield f"{owner}: {action} on {key}"


@invariant
def the_worker_runs_only_these_families_on_this_cluster(stack: Translated) -> Iterator[str]:
    definitions = stack.of_type("AWS::ECS::TaskDefinition")
    families = {definitions[name]["Family"] for name in ("ConversionTask", "OperationsTask")}
    cluster = stack.arn("Cluster")
    tasks = cluster.replace(":cluster/", ":task/") + "/*"
    for statement in stack.statements():
        actions = set(statement.listed("Action"))
        if "ecs:RegisterTaskDefinition" in actions:
            yield f"{statement.owner} may register definitions"
        if "ecs:RunTask" in actions:
            named = {str(each).rpartition("/")[2] for each in statement.listed("Resource")}
            if named != {f"{family}:*" for family in families}:
                yield f"{statement.owner} may run {sorted(named)}"
            if statement.body.get("Condition") != {"ArnEquals": {"ecs:cluster": cluster}}:
                yield f"{statement.owner} may run on any cluster"
        elif actions == {"ecs:ListTasks"}:
            if statement.body.get("Condition") != {"ArnEquals": {"ecs:cluster": cluster}}:
                yield f"{statement.owner} may list the tasks of any cluster"
        elif any(
            action.startswith("ecs:") for action in actions - WITHOUT_RESOURCE
        ) and statement.listed("Resource") != [tasks]:
            yield f"{statement.owner}: {sorted(actions)} on {statement.listed('Resource')}"
