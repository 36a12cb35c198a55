"""The scheduled reconciliation finds what it needs, and writes only its report and the catalogue."""

from collections.abc import Iterator

from operations.clients.stack_settings import QUEUE, STACK
from operations.reconcile.reconcile_flow import reconcile_specs
from operations.reconcile.reconcile_report import REPORTS
from tests.template.invariants.registry import data_keys, invariant
from tests.template.stacks import Translated

DAY = 86400


@invariant
def the_reconciliation_finds_its_settings(stack: Translated) -> Iterator[str]:
    definition = stack.of_type("AWS::ECS::TaskDefinition")["OperationsTask"]
    for wanted in (
        spec.job_variables["task_family"] for spec in reconcile_specs(stack.account.stack_name)
    ):
        if definition["Family"] != wanted:
            yield f"its deployment runs {wanted}, the stack has {definition['Family']}"
    (container,) = definition["ContainerDefinitions"]
    environment = {item["Name"]: item["Value"] for item in container["Environment"]}
    if environment.get(REPORTS) != f"s3://{_reports(stack)}":
        yield f"its reports go to {environment.get(REPORTS)}"
    if environment.get(STACK) != stack.account.stack_name:
        yield f"its metrics are those of {environment.get(STACK)}"
    if environment.get(QUEUE) != stack.resolver.resolve({"Ref": "UploadQueue"}):
        yield f"it notifies {environment.get(QUEUE)}"
    trigger = stack.of_type("AWS::Lambda::Function")["Trigger"]["Environment"]["Variables"]
    for name in ("ECHODROP_RULES_PARAMETER", "PREFECT_API_URL"):
        if environment.get(name) != trigger[name]:
            yield f"{name} is not the trigger's"


@invariant
def the_reconciliation_writes_only_its_report(stack: Translated) -> Iterator[str]:
    may_write = {
        (action, resource)
        for statement in stack.statements()
        if statement.owner == "OperationsRole" and "Resource" in statement.body
        for action in statement.listed("Action")
        if not action.partition(":")[2].startswith(("Get", "List", "Describe"))
        for resource in statement.listed("Resource")
        # Its rights on the buckets' keys follow from its rights on their objects.
        if resource not in data_keys(stack)
    }
    wanted = {
        ("s3:PutObject", stack.bucket_arn(f"{_reports(stack)}*")),
        ("s3:PutObject", stack.bucket_arn(f"{_root(stack)}catalog/*")),
        ("s3:DeleteObject", stack.bucket_arn(f"{_root(stack)}catalog/*")),
        ("sqs:SendMessage", stack.arn("UploadQueue")),
        ("cloudwatch:PutMetricData", "*"),
    }
    for action, resource in sorted(may_write ^ wanted):
        yield f"{action} on {resource}"


@invariant
def an_overdue_full_reconciliation_raises_an_alarm(stack: Translated) -> Iterator[str]:
    days = 7
    thresholds = [
        float(alarm["Threshold"])
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "WholeLookAgeSeconds"
        # A reconciliation that does not run is reported by ReconcileSilentAlarm.
        and alarm["TreatMissingData"] == "ignore"
    ]
    if not any(days * DAY < each <= (days + 2) * DAY for each in thresholds):
        yield f"no alarm reports an overdue {days}-day run: {thresholds}"


@invariant
def the_record_of_finished_uploads_outlives_a_full_run(stack: Translated) -> Iterator[str]:
    # Each weekly full run rewrites it; without it the next hourly run checks everything.
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        for rule in bucket.get("LifecycleConfiguration", {}).get("Rules", []):
            kept = int(rule.get("ExpirationInDays", 365))
            if _reports(stack).endswith(str(rule.get("Prefix", "none"))) and kept < 21:
                yield f"{name}: rule {rule['Id']} deletes the record of finished uploads after {kept} days"


@invariant
def outputs_are_listed_only_below_their_prefix(stack: Translated) -> Iterator[str]:
    output = stack.resolver.resolve(stack.template["Outputs"]["Output"]["Value"])
    prefix = stack.resolver.resolve({"Ref": "OutputPrefix"})
    for statement in stack.statements():
        if not statement.allows or stack.bucket_arn(output) not in statement.listed("Resource"):
            continue
        listed = statement.body.get("Condition", {}).get("StringLike", {}).get("s3:prefix", "")
        if "s3:ListBucket" in statement.listed("Action") and not (
            listed.startswith(prefix) and listed.endswith("*")
        ):
            yield f"{statement.owner} lists all of the output bucket"


def _reports(stack: Translated) -> str:
    return f"{_root(stack)}.echodrop/reconcile/"


def _root(stack: Translated) -> str:
    output = stack.resolver.resolve(stack.template["Outputs"]["Output"]["Value"])
    return f"{output}/{stack.resolver.resolve({'Ref': 'OutputPrefix'})}"
