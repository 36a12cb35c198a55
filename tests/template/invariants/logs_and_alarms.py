"""What happens is kept for a time, and what goes wrong is told."""

import json
from collections.abc import Iterator

from tests.template.invariants.registry import (
    ROOT,
    dead_letters,
    invariant,
)
from tests.template.stacks import Translated


@invariant
def logs_are_kept_for_a_time(stack: Translated) -> Iterator[str]:
    groups = stack.of_type("AWS::Logs::LogGroup")
    for name, group in groups.items():
        if not int(group.get("RetentionInDays", 0)):
            yield f"{name} is kept for ever"
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
def every_alarm_tells_somebody_and_says_when_it_is_over(stack: Translated) -> Iterator[str]:
    heard = {item["TopicArn"] for item in stack.of_type("AWS::SNS::Subscription").values()}
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        for actions in ("AlarmActions", "OKActions"):
            if not set(alarm.get(actions, [])) & heard:
                yield f"{name}: nobody hears its {actions}"
        if alarm.get("TreatMissingData") not in {"breaching", "notBreaching"}:
            yield f"{name}: missing data mean nothing"


@invariant
def a_bad_file_wakes_nobody_unless_asked_to(stack: Translated) -> Iterator[str]:
    topics = {kind: stack.resolver.resolve({"Ref": f"{kind}Topic"}) for kind in ("Alert", "Notice")}
    pages = stack.resolver.resolve({"Ref": "BadFilesPage"}) == "yes"
    (container,) = stack.of_type("AWS::ECS::TaskDefinition")["ConversionTask"][
        "ContainerDefinitions"
    ]
    told = {item["Name"]: item["Value"] for item in container["Environment"]}
    if told.get("ECHODROP_ALERT_TOPIC_ARN") != topics["Alert"]:
        yield "tasks do not tell of the system's faults"
    if told.get("ECHODROP_NOTICE_TOPIC_ARN") != topics["Alert" if pages else "Notice"]:
        yield "a file's own fault goes to the wrong topic"
    output = stack.resolver.resolve(stack.template["Outputs"]["Output"]["Value"])
    prefix = stack.resolver.resolve({"Ref": "OutputPrefix"})
    if told.get("ECHODROP_INCIDENTS") != f"s3://{output}/{prefix}.echodrop/incidents/":
        yield "incidents are kept where tasks may not write"
    heard = {item["TopicArn"] for item in stack.of_type("AWS::SNS::Subscription").values()}
    for kind, topic in topics.items():
        if topic not in heard:
            yield f"nobody hears of {kind}s"


@invariant
def silence_is_a_fault_where_something_must_speak(stack: Translated) -> Iterator[str]:
    for name in ("WorkerAlarm", "UploadsLackSettingsAlarm"):
        if stack.resources[name]["Properties"]["TreatMissingData"] != "breaching":
            yield f"{name} is silent when its subject is dead"


@invariant
def every_dead_letter_raises_an_alarm(stack: Translated) -> Iterator[str]:
    watched = {
        (dimension["Name"], dimension["Value"], alarm["MetricName"])
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if float(alarm["Threshold"]) == 0
    }
    for arn in sorted(dead_letters(stack)):
        name = arn.rpartition(":")[2]
        if ("QueueName", name, "ApproximateNumberOfMessagesVisible") not in watched:
            yield f"{name} fills unseen"


@invariant
def alarms_watch_metrics_that_the_trigger_writes(stack: Translated) -> Iterator[str]:
    written = (ROOT / "lambda_trigger/telemetry.py").read_text()
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        if alarm["Namespace"].startswith("AWS/"):
            continue
        if f'NAMESPACE = "{alarm["Namespace"]}"' not in written:
            yield f"{name}: nothing writes to {alarm['Namespace']}"
        if f'"{alarm["MetricName"]}"' not in written:
            yield f"{name}: nothing writes {alarm['MetricName']}"


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
def every_parameter_is_described_and_bounded(stack: Translated) -> Iterator[str]:
    for name, declaration in stack.source["Parameters"].items():
        if len(declaration.get("Description", "")) < 15:
            yield f"{name} is not described"
        bounds = {"AllowedPattern", "AllowedValues"} & set(declaration)
        if not bounds and not {"MinValue", "MaxValue"} <= set(declaration):
            yield f"{name} takes anything"
