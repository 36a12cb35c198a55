"""Logs are kept for a time, and faults are reported."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flows.products.jobs.product_jobs import SWITCH
from flows.runs.run_products import STACK
from tests.template.alarm_metrics import metrics_of
from tests.template.invariants.registry import (
    ROOT,
    dead_letters,
    invariant,
)
from tests.template.stacks import Translated
from tests.template.written_metrics import written_metrics
from watchdog.settings import SettingsError, read_settings


@invariant
def logs_are_kept_for_a_time(stack: Translated) -> Iterator[str]:
    groups = stack.of_type("AWS::Logs::LogGroup")
    for name, group in groups.items():
        if not int(group.get("RetentionInDays", 0)):
            yield f"{name} is kept forever"
    names = {group["LogGroupName"] for group in groups.values()}
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        if function.get("LoggingConfig", {}).get("LogGroup") not in names:
            yield f"{name} logs elsewhere"
    for name, definition in stack.of_type("AWS::ECS::TaskDefinition").items():
        for container in definition["ContainerDefinitions"]:
            options = container.get("LogConfiguration", {}).get("Options", {})
            if options.get("awslogs-group") not in names:
                yield f"{name} logs elsewhere"


@invariant
def every_alarm_reports_its_end(stack: Translated) -> Iterator[str]:
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        if alarm.get("OKActions") != alarm.get("AlarmActions"):
            yield f"{name}: its targets do not learn that it is over"
        if alarm.get("TreatMissingData") not in {"breaching", "notBreaching", "ignore"}:
            yield f"{name}: missing data have no meaning"


@invariant
def a_bad_file_raises_no_alert_by_default(stack: Translated) -> Iterator[str]:
    topics = {kind: stack.resolver.resolve({"Ref": f"{kind}Topic"}) for kind in ("Alert", "Notice")}
    pages = stack.resolver.resolve({"Ref": "BadFilesPage"}) == "yes"
    (container,) = stack.of_type("AWS::ECS::TaskDefinition")["ConversionTask"][
        "ContainerDefinitions"
    ]
    environment = {item["Name"]: item["Value"] for item in container["Environment"]}
    if environment.get("ECHODROP_ALERT_TOPIC_ARN") != topics["Alert"]:
        yield "tasks do not report the system's faults"
    if environment.get("ECHODROP_NOTICE_TOPIC_ARN") != topics["Alert" if pages else "Notice"]:
        yield "a file's own fault goes to the wrong topic"
    output = stack.resolver.resolve(stack.template["Outputs"]["Output"]["Value"])
    prefix = stack.resolver.resolve({"Ref": "OutputPrefix"})
    if environment.get("ECHODROP_INCIDENTS") != f"s3://{output}/{prefix}.echodrop/incidents/":
        yield "incidents are kept where tasks may not write"
    heard = {item["TopicArn"] for item in stack.of_type("AWS::SNS::Subscription").values()}
    for kind, topic in topics.items():
        if topic not in heard:
            yield f"{kind}s have no subscriber"
    of_the_files = {"UploadsRejectedAlarm", "UploadsLackSettingsAlarm"}
    # Nothing is lost if one is not made.
    never_urgent = {"ProductsFailedAlarm"}
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        is_notice = name in never_urgent or (name in of_the_files and not pages)
        wanted = topics["Notice" if is_notice else "Alert"]
        if {*alarm.get("AlarmActions", []), *alarm.get("OKActions", [])} - {wanted}:
            yield f"{name} goes to the wrong topic"


@invariant
def products_are_switched_and_counted_by_the_stack(stack: Translated) -> Iterator[str]:
    wanted = {
        SWITCH: stack.resolver.resolve({"Ref": "Products"}),
        STACK: stack.account.stack_name,
    }
    for name in ("ConversionTask", "OperationsTask"):
        definition = stack.of_type("AWS::ECS::TaskDefinition")[name]
        (container,) = definition["ContainerDefinitions"]
        environment = {item["Name"]: item["Value"] for item in container["Environment"]}
        for variable, text in wanted.items():
            if environment.get(variable) != text:
                yield f"{name} has {variable}={environment.get(variable)}"
    if stack.resolver.resolve(stack.template["Outputs"]["Products"]["Value"]) != wanted[SWITCH]:
        yield "an operator's commands do not learn whether products are wanted"


@invariant
def missing_data_breach_where_data_must_exist(stack: Translated) -> Iterator[str]:
    for name in ("WorkerAlarm", "PrefectAlarm", "WatchdogSilentAlarm", "ReconcileSilentAlarm"):
        if stack.resources[name]["Properties"]["TreatMissingData"] != "breaching":
            yield f"{name} does not alarm when its subject is dead"


@invariant
def no_alarm_ends_by_missing_data(stack: Translated) -> Iterator[str]:
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        # These metrics report a state at every run; the trigger's report events.
        levels = {"Name": "service", "Value": "watchdog"}, {"Name": "service", "Value": "reconcile"}
        looked = any(each in alarm["Dimensions"] for each in levels)
        if looked and alarm["TreatMissingData"] == "notBreaching":
            yield f"{name} ends when there is no new data"


@invariant
def every_dead_letter_raises_an_alarm(stack: Translated) -> Iterator[str]:
    watched = {
        (dimension["Name"], dimension["Value"], alarm["MetricName"])
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if float(alarm["Threshold"]) == 0 and alarm["Statistic"] == "Maximum"
    }
    for arn in sorted(dead_letters(stack)):
        name = arn.rpartition(":")[2]
        if ("QueueName", name, "ApproximateNumberOfMessagesVisible") not in watched:
            yield f"{name} fills unnoticed"


@invariant
def no_alarm_uses_an_age_that_excludes_messages(stack: Translated) -> Iterator[str]:
    # SQS excludes a message from the age of the oldest one after it was received three times.
    received = {
        queue["QueueName"]: int(queue.get("RedrivePolicy", {}).get("maxReceiveCount", 1000))
        for queue in stack.of_type("AWS::SQS::Queue").values()
    }
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        of_expression = (each.get("MetricStat", {}) for each in alarm.get("Metrics", []))
        for metric in (alarm, *(each.get("Metric", {}) for each in of_expression)):
            if metric.get("MetricName") != "ApproximateAgeOfOldestMessage":
                continue
            for queue in (each["Value"] for each in metric["Dimensions"]):
                if received.get(queue, 1000) > 3:
                    yield f"{name}: {queue} has messages that are received more often"


@invariant
def an_unread_queue_raises_an_alarm(stack: Translated) -> Iterator[str]:
    # A reader empties it now and then; otherwise the alarm follows within a quarter of an hour.
    alarmed = {
        dimension["Value"]
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        if (alarm.get("MetricName"), alarm.get("Statistic"), float(alarm["Threshold"]))
        == ("ApproximateNumberOfMessagesVisible", "Minimum", 0)
        and int(alarm["Period"]) * int(alarm["EvaluationPeriods"]) <= 900
        for dimension in alarm["Dimensions"]
    }
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        if "RedrivePolicy" in queue and queue["QueueName"] not in alarmed:
            yield f"{name} fills unnoticed"


@invariant
def own_metrics_are_only_those_of_this_stack(stack: Translated) -> Iterator[str]:
    # Two stacks of one account share a namespace: without it each hides the other's faults.
    owner = ("stack", stack.account.stack_name)
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        for watched in metrics_of(alarm):
            if not watched.namespace.startswith("AWS/") and owner not in watched.dimensions:
                yield f"{name} watches every stack of the account"
    for name, dashboard in stack.of_type("AWS::CloudWatch::Dashboard").items():
        for namespace, metric, *flat in _charted(dashboard):
            pairs = frozenset(zip(flat[::2], flat[1::2], strict=True))
            if not namespace.startswith("AWS/") and (
                (namespace, metric, pairs) not in written_metrics(owner[1])
            ):
                yield f"{name}: nothing writes {metric} by {flat}"


@invariant
def the_dashboard_shows_every_alarm(stack: Translated) -> Iterator[str]:
    for name, dashboard in stack.of_type("AWS::CloudWatch::Dashboard").items():
        body = json.loads(dashboard["DashboardBody"])
        shown = {
            arn for widget in body["widgets"] for arn in widget["properties"].get("alarms", [])
        }
        alarms = {stack.arn(alarm) for alarm in stack.of_type("AWS::CloudWatch::Alarm")}
        for arn in sorted(alarms ^ shown):
            yield f"{name}: {arn}"


@invariant
def the_dashboard_shows_every_alarms_metric(stack: Translated) -> Iterator[str]:
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    shown = set(_charted(dashboard))
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        dimensions = [
            part for each in alarm["Dimensions"] for part in (each["Name"], each["Value"])
        ]
        if (alarm["Namespace"], alarm["MetricName"], *dimensions) not in shown:
            yield f"{name}: {alarm['MetricName']} is on no chart"


def _charted(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield namespace, metric, then names and values of its dimensions, of each line on a chart."""
    for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            yield tuple(part for part in metric if isinstance(part, str))


@invariant
def the_watchdog_runs_every_five_minutes(stack: Translated) -> Iterator[str]:
    rule = stack.resources["WatchRule"]["Properties"]
    function = stack.of_type("AWS::Lambda::Function")["Watchdog"]
    if rule["ScheduleExpression"] != "rate(5 minutes)":
        yield "alarms need a run every five minutes"
    if [target["Arn"] for target in rule["Targets"]] != [stack.arn("Watchdog")]:
        yield "the schedule starts something else"
    (permission,) = stack.of_type("AWS::Lambda::Permission").values()
    if permission["SourceArn"] != stack.arn("WatchRule"):
        yield "the schedule may not start it"
    module = function["Handler"].rpartition(".")[0].replace(".", "/") + ".py"
    if not (ROOT / module).is_file():
        yield f"no module for the handler {function['Handler']}"
    try:
        settings = read_settings(function["Environment"]["Variables"])
    except SettingsError as error:
        yield str(error)
        return
    if settings.look_back_seconds < 3 * 300:
        yield "one failed run misses runs that ended before it"
    (container,) = stack.of_type("AWS::ECS::TaskDefinition")["ConversionTask"][
        "ContainerDefinitions"
    ]
    environment = {item["Name"]: item["Value"] for item in container["Environment"]}
    noted = f"s3://{'/'.join(settings.incidents)}"
    if environment.get("ECHODROP_INCIDENTS") != noted:
        yield "tasks write incidents elsewhere"


@invariant
def the_watchdog_changes_nothing_but_incidents_and_the_brake_s_note(
    stack: Translated,
) -> Iterator[str]:
    output = stack.resolver.resolve(stack.template["Outputs"]["Output"]["Value"])
    prefix = stack.resolver.resolve({"Ref": "OutputPrefix"})
    own = [
        [stack.bucket_arn(f"{output}/{prefix}.echodrop/{name}/*")]
        for name in ("incidents", "brake")
    ]
    looks = ("sqs:GetQueueAttributes", "s3:ListBucket", "secretsmanager:Get", "budgets:ViewBudget")
    harmless = (*looks, "sns:Publish")
    for statement in stack.statements():
        if statement.owner != "WatchdogRole" or "Resource" not in statement.body:
            continue
        for action in statement.listed("Action"):
            if action.startswith("s3:") and action != "s3:ListBucket":
                if statement.listed("Resource") not in own:
                    yield f"{action} on {statement.listed('Resource')}"
            elif not action.startswith((*harmless, "kms:", "logs:")):
                yield f"{action} is not a read"


@invariant
def every_parameter_is_described_and_limited(stack: Translated) -> Iterator[str]:
    for name, declaration in stack.source["Parameters"].items():
        if len(declaration.get("Description", "")) < 15:
            yield f"{name} is not described"
        bounds = {"AllowedPattern", "AllowedValues"} & set(declaration)
        if not bounds and not {"MinValue", "MaxValue"} <= set(declaration):
            yield f"{name} accepts anything"
