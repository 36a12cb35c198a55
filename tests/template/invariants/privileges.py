"""Each role may what it needs, of what is its own."""

import json
from collections.abc import Iterator

from tests.template.invariants.registry import (
    WITHOUT_RESOURCE,
    invariant,
    is_bounded,
    listed,
)
from tests.template.stacks import Translated


@invariant
def every_grant_names_its_resources(stack: Translated) -> Iterator[str]:
    for statement in stack.statements():
        if not statement.allows or statement.kind == "AWS::KMS::Key":
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
                yield f"{statement.owner}: {resource} names nothing"


@invariant
def nobody_unnamed_is_let_in(stack: Translated) -> Iterator[str]:
    for statement in stack.statements():
        principal = statement.body.get("Principal", {})
        if statement.allows and "*" in json.dumps(principal):
            yield f"{statement.owner} lets everybody in"


@invariant
def services_act_for_this_account_alone(stack: Translated) -> Iterator[str]:
    for statement in stack.statements():
        principal = statement.body.get("Principal", {})
        services = listed(principal.get("Service", [])) if isinstance(principal, dict) else []
        # Lambda assumes its roles itself and sends no source with it.
        if not statement.allows or not services or services == ["lambda.amazonaws.com"]:
            continue
        # EventBridge names no source to the key of a topic that it publishes to ("Encrypting Amazon
        # SNS topics", SNS developer guide). What it encrypts is what it may publish, and that the
        # topic's policy binds to a rule of this account.
        if statement.kind == "AWS::KMS::Key" and services == ["events.amazonaws.com"]:
            continue
        condition = json.dumps(statement.body.get("Condition", {}))
        if "123456789012" not in condition:
            yield f"{statement.owner}: {services} may act for other accounts"


@invariant
def no_managed_policy_but_for_a_function_in_a_vpc(stack: Translated) -> Iterator[str]:
    # It grants network interfaces on "*", as they have no names before they exist.
    in_vpc = stack.resolver.resolve({"Ref": "TriggerInVpc"}) == "yes"
    interfaces = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
    for name, role in stack.of_type("AWS::IAM::Role").items():
        allowed = [interfaces] if in_vpc and name in {"TriggerRole", "WatchdogRole"} else []
        if role.get("ManagedPolicyArns", []) != allowed:
            yield f"{name} has {role.get('ManagedPolicyArns', [])}"


@invariant
def roles_are_passed_to_tasks_alone(stack: Translated) -> Iterator[str]:
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
        yield "not the worker alone passes roles"


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
    wanted = {(action, f"arn:aws:s3:::{inbox}/*") for action in reads}
    wanted |= {(action, f"arn:aws:s3:::{output}/{prefix}*") for action in writes}
    wanted |= {("s3:ListBucket", f"arn:aws:s3:::{bucket}") for bucket in (inbox, output)}
    wanted.add(("s3:ListBucketMultipartUploads", f"arn:aws:s3:::{output}"))
    # A file at fault is marked, in the inbox alone, and people are told.
    marks = {f"s3:{verb}Object{kind}Tagging" for verb in ("Get", "Put") for kind in ("", "Version")}
    wanted |= {(action, f"arn:aws:s3:::{inbox}/*") for action in marks}
    wanted |= {("sns:Publish", stack.arn(topic)) for topic in ("AlertTopic", "NoticeTopic")}
    wanted |= {(action, stack.arn("Key")) for action in ("kms:Decrypt", "kms:GenerateDataKey")}
    if archive := stack.resolver.resolve({"Ref": "ArchiveBucketName"}):
        wanted |= {(action, f"arn:aws:s3:::{archive}/*") for action in reads}
        wanted.add(("s3:ListBucket", f"arn:aws:s3:::{archive}"))
    for action, resource in sorted(may ^ wanted):
        yield f"{action} on {resource}"


@invariant
def the_trigger_reads_inbox_and_archive_alone(stack: Translated) -> Iterator[str]:
    inbox = stack.resolver.resolve(stack.template["Outputs"]["Inbox"]["Value"])
    archive = stack.resolver.resolve({"Ref": "ArchiveBucketName"})
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
        for bucket in filter(None, (inbox, archive))
        for grant in (
            ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
            ("s3:GetObjectTagging", f"arn:aws:s3:::{bucket}/*"),
            ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        )
    }
    for action, resource in sorted(may ^ wanted):
        yield f"{action} on {resource}"


@invariant
def the_worker_runs_these_families_on_this_cluster_alone(stack: Translated) -> Iterator[str]:
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
