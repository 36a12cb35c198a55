"""The rights in the template are exactly those that the code needs."""

import re
from pathlib import Path

import boto3
import prefect_aws
import pytest

from tests.template.stacks import VARIANTS, Translated

ROOT = Path(__file__).resolve().parents[2]

# By boto3's method: the IAM action that it needs. Source: "Actions, resources, and condition keys
# for Amazon S3", Service Authorization Reference.
ACTIONS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "delete_object_tagging": "s3:DeleteObjectTagging",
    "delete_objects": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "get_object_tagging": "s3:GetObjectTagging",
    "head_object": "s3:GetObject",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "list_objects_v2": "s3:ListBucket",
    "put_object": "s3:PutObject",
    "put_object_tagging": "s3:PutObjectTagging",
    "upload_part": "s3:PutObject",
}
# Needed because of a call's parameter, not its name.
BY_PARAMETER = {
    "VersionId": "s3:GetObjectVersion",
    "delete_object_tagging": "s3:DeleteObjectVersionTagging",
    "get_object_tagging": "s3:GetObjectVersionTagging",
    "put_object_tagging": "s3:PutObjectVersionTagging",
}
# For a topic that is encrypted with the stack's key. Source: "Key management", SNS developer guide.
PUBLISHING = {"sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"}
TRIGGER_ACTIONS = {
    "GetObject": "s3:GetObject",
    "GetObjectTagging": "s3:GetObjectTagging",
    "ListObjectsV2": "s3:ListBucket",
    "AmazonSSM.GetParameter": "ssm:GetParameter",
    "secretsmanager.GetSecretValue": "secretsmanager:GetSecretValue",
    "AmazonSQS.SendMessageBatch": "sqs:SendMessage",
}
# Lambda does this with the trigger's role: it polls the queue and writes the log.
LAMBDA_S = {
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
}


def granted(stack: Translated, role: str) -> set[str]:
    return {
        action
        for statement in stack.statements()
        if statement.owner == role and "Resource" in statement.body
        for action in statement.listed("Action")
    }


def test_the_task_has_exactly_the_rights_that_the_flow_needs(stacks: dict[str, Translated]) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "flows").rglob("*.py"))
    methods = set(re.findall(r"\.(\w+)\(\s*Bucket=", code))
    methods |= set(re.findall(r"get_paginator\(\s*\"(\w+)\"", code))
    # Partial calls and keyword dictionaries do not show their bucket beside the name.
    methods |= {name for name in ACTIONS if re.search(rf"client\.{name}\b|\"{name}\"", code)}
    # paginate is the paginator above; operators read and put the notification with their own rights.
    methods -= {"paginate"} | {
        f"{verb}_bucket_notification_configuration" for verb in ("get", "put")
    }
    assert methods <= set(ACTIONS)
    asked = {ACTIONS[name] for name in methods}
    asked |= {action for name, action in BY_PARAMETER.items() if name in code}
    if ".publish(" in code:
        asked |= PUBLISHING
    assert granted(stacks["all made"], "TaskRole") == asked


def test_the_trigger_has_exactly_the_rights_that_it_needs(stacks: dict[str, Translated]) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "lambda_trigger").rglob("*.py"))
    operations = set(re.findall(r"_s3\(\s*\"(\w+)\"", code))
    operations |= set(re.findall(r"\"((?:AmazonSSM|secretsmanager|AmazonSQS)\.\w+)\"", code))
    assert operations == set(TRIGGER_ACTIONS)
    asked = {TRIGGER_ACTIONS[name] for name in operations} | LAMBDA_S
    assert granted(stacks["all made"], "TriggerRole") == asked


# The parts of `operations` and `events` that the scheduled reconciliation runs, by the role's action.
OPERATIONS = {
    "operations/inventory/listings.py": {"list_objects_v2", "head_object", "get_object"},
    "operations/catalog/places.py": {"list_objects_v2", "get_object"},
    "operations/clients/ecs_tasks.py": {"list_tasks", "describe_tasks"},
    "operations/clients/connections.py": {"get_parameter"},
    "operations/reconcile/reconcile_flow.py": {"put_metric_data"},
    "operations/reconcile/reconcile_report.py": {"put_object"},
    "events/sending.py": {"send_message_batch"},
}
OPERATIONS_ACTIONS = {
    **ACTIONS,
    "list_tasks": "ecs:ListTasks",
    "describe_tasks": "ecs:DescribeTasks",
    "get_parameter": "ssm:GetParameter",
    "put_metric_data": "cloudwatch:PutMetricData",
    "send_message_batch": "sqs:SendMessage",
}
CALL = re.compile(
    r"\.(\w+)\(\s*(?:Bucket|QueueUrl|Name|Namespace|cluster)=|get_paginator\(\"(\w+)\"\)"
)


def test_the_reconciliation_has_exactly_the_rights_that_it_needs(
    stacks: dict[str, Translated],
) -> None:
    asked = set()
    for name, methods in OPERATIONS.items():
        code = (ROOT / name).read_text()
        found = {one or other for one, other in CALL.findall(code)} - {"paginate"}
        assert found == methods, name
        asked |= {OPERATIONS_ACTIONS[method] for method in methods}
    # As the trigger reads an upload: its first bytes, tags and settings.
    asked |= {"s3:GetObject", "s3:GetObjectTagging", "s3:ListBucket"}
    # The catalogue is written and cleared through the flow's store.
    asked |= {"s3:PutObject", "s3:DeleteObject"}
    assert granted(stacks["all made"], "OperationsRole") == asked


# Calls of prefect-aws that the pool's template never needs, because the stack creates the definitions.
NEVER_DONE = {"ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"}
# RunTask also passes the task's roles and sets its tags.
WITH_RUN_TASK = {"iam:PassRole", "ecs:TagResource"}


def iam_action(service: str, method: str) -> str:
    """The IAM action of a client's method: both are named after the operation."""
    client = boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]  # the stubs want a literal
    return f"{service}:{client.meta.method_to_api_mapping[method]}"


def test_the_worker_has_exactly_the_rights_that_it_needs(stacks: dict[str, Translated]) -> None:
    package = Path(prefect_aws.__file__).parent
    asked = set(WITH_RUN_TASK)
    for name in ("workers/ecs_worker.py", "observers/ecs.py"):
        calls = re.findall(r"\b(ecs|sqs|logs)_client\.([a-z]\w+)\(", (package / name).read_text())
        asked |= {iam_action(service, method) for service, method in calls}
    assert asked >= NEVER_DONE
    assert granted(stacks["all made"], "WorkerRole") == asked - NEVER_DONE


@pytest.mark.parametrize("variant", VARIANTS)
def test_ecs_has_exactly_the_rights_that_start_a_task(
    stacks: dict[str, Translated], variant: str
) -> None:
    stack = stacks[variant]
    asked: dict[str, set[str]] = {"ExecutionRole": set(), "WorkerExecutionRole": set()}
    of_arn = {stack.arn(role): wanted for role, wanted in asked.items()}
    for definition in stack.of_type("AWS::ECS::TaskDefinition").values():
        wanted = of_arn[definition["ExecutionRoleArn"]]
        for container in definition["ContainerDefinitions"]:
            # Source: "Amazon ECS task execution IAM role", ECS developer guide.
            if ".dkr.ecr." in container["Image"]:
                wanted |= {
                    "ecr:GetAuthorizationToken",
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:BatchGetImage",
                }
            if container["LogConfiguration"]["LogDriver"] == "awslogs":
                wanted |= {"logs:CreateLogStream", "logs:PutLogEvents"}
            if container.get("Secrets"):
                wanted.add("secretsmanager:GetSecretValue")
    assert {role: granted(stack, role) for role in asked} == asked


def test_the_watchdog_has_exactly_the_rights_that_it_needs(stacks: dict[str, Translated]) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "watchdog").glob("*.py"))
    by_argument = {"Bucket": "s3", "QueueUrl": "sqs", "SecretId": "secretsmanager"}
    calls = re.findall(r"\.(\w+)\(\s*(Bucket|QueueUrl|SecretId)=", code)
    asked = {
        ACTIONS.get(method) or iam_action(by_argument[name], method)
        for method, name in calls
        if method != "paginate"
    }
    asked |= {ACTIONS[name] for name in re.findall(r"get_paginator\(\"(\w+)\"", code)}
    if ".publish(" in code:
        asked |= PUBLISHING
    # DescribeBudget is granted by this, "Actions for AWS Budget Service", Service Authorization Reference.
    if ".describe_budget(" in code:
        asked.add("budgets:ViewBudget")
    # The log is Lambda's, in the function's name.
    asked |= {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert granted(stacks["all made"], "WatchdogRole") == asked
