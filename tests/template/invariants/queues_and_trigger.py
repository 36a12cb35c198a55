"""Notifications reach the trigger, and none is lost."""

from collections.abc import Iterator, Mapping
from typing import Any

from lambda_trigger.clients.transport_errors import ConfigurationError
from lambda_trigger.decisions.rules_document import parse_rules
from lambda_trigger.decisions.rules_table import RulesError
from lambda_trigger.larger_task import CONTAINER
from lambda_trigger.settings import read_settings
from tests.template.invariants.registry import ROOT, dead_letters, invariant
from tests.template.stacks import Translated

DAY = 86400
RUNTIME_ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "of the role",
    "AWS_SECRET_ACCESS_KEY": "of the role",
}


def _queue_at(stack: Translated, arn: str) -> dict[str, Any]:
    return next(
        dict(queue)
        for name, queue in stack.of_type("AWS::SQS::Queue").items()
        if stack.arn(name) == arn
    )


@invariant
def a_message_stays_hidden_six_times_the_timeout(stack: Translated) -> Iterator[str]:
    timeout = stack.of_type("AWS::Lambda::Function")["Trigger"]["Timeout"]
    for name, source in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        visible = _queue_at(stack, source["EventSourceArn"]).get("VisibilityTimeout", 30)
        if int(visible) < 6 * int(timeout):
            yield f"{name}: visible again after {visible} s, the function may take {timeout} s"


@invariant
def every_queue_has_dead_letters(stack: Translated) -> Iterator[str]:
    dead = dead_letters(stack)
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        if stack.arn(name) not in dead and "RedrivePolicy" not in queue:
            yield f"{name} has no dead letters"


@invariant
def every_rule_target_has_dead_letters(stack: Translated) -> Iterator[str]:
    dead = dead_letters(stack)
    for name, rule in stack.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            if target.get("DeadLetterConfig", {}).get("Arn") not in dead:
                yield f"{name}: a refusal of {target['Id']} loses the event"


@invariant
def dead_letters_are_kept_14_days_and_longer_than_their_source(stack: Translated) -> Iterator[str]:
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        if "RedrivePolicy" not in queue:
            continue
        kept = int(queue.get("MessageRetentionPeriod", 4 * DAY))
        dead = _queue_at(stack, queue["RedrivePolicy"]["deadLetterTargetArn"])
        dead_kept = int(dead.get("MessageRetentionPeriod", 4 * DAY))
        if dead_kept != 14 * DAY or dead_kept <= kept:
            yield f"{name} keeps {kept} s, its dead letters {dead_kept} s"


@invariant
def messages_outlive_their_deliveries(stack: Translated) -> Iterator[str]:
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        if "RedrivePolicy" in queue:
            tries = int(queue["RedrivePolicy"]["maxReceiveCount"]) * int(queue["VisibilityTimeout"])
            if tries > int(queue["MessageRetentionPeriod"]):
                yield f"{name}: a message expires before its {tries} s of deliveries are over"


@invariant
def one_bad_record_fails_alone(stack: Translated) -> Iterator[str]:
    for name, source in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name} fails whole batches"


@invariant
def concurrency_is_limited(stack: Translated) -> Iterator[str]:
    for name, source in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        if int(source.get("ScalingConfig", {}).get("MaximumConcurrency", 0)) < 2:
            yield f"{name} has no limit that Lambda accepts"


@invariant
def the_trigger_runs_as_built(stack: Translated) -> Iterator[str]:
    function = stack.of_type("AWS::Lambda::Function")["Trigger"]
    module = function["Handler"].rpartition(".")[0].replace(".", "/") + ".py"
    if not (ROOT / module).is_file():
        yield f"no module for the handler {function['Handler']}"
    if function["Runtime"] != "python3.13" or function["Architectures"] != ["arm64"]:
        yield f"{function['Runtime']} on {function['Architectures']}"


@invariant
def the_trigger_finds_its_settings(stack: Translated) -> Iterator[str]:
    environment = stack.of_type("AWS::Lambda::Function")["Trigger"]["Environment"]["Variables"]
    try:
        read_settings(environment | RUNTIME_ENVIRONMENT)
    except ConfigurationError as error:
        yield str(error)


@invariant
def the_trigger_is_notified_of_out_of_memory_kills(stack: Translated) -> Iterator[str]:
    definition = stack.of_type("AWS::ECS::TaskDefinition")["ConversionTask"]
    rule = stack.of_type("AWS::Events::Rule")["KilledTaskRule"]
    wanted = {
        "clusterArn": [stack.arn("Cluster")],
        "group": [f"family:{definition['Family']}"],
        "lastStatus": ["STOPPED"],
        "stopCode": ["EssentialContainerExited"],
        "containers": {"name": ["prefect"], "exitCode": [137]},
    }
    if rule["EventPattern"].get("detail") != wanted:
        yield f"the rule matches {rule['EventPattern'].get('detail')}"
    if [target["Arn"] for target in rule["Targets"]] != [stack.arn("UploadQueue")]:
        yield "the rule does not target the trigger's queue"


@invariant
def only_the_exit_code_of_the_conversion_container_counts(stack: Translated) -> Iterator[str]:
    definitions = stack.of_type("AWS::ECS::TaskDefinition")
    own = {
        container["Name"]
        for name in ("ConversionTask", "OperationsTask")
        for container in definitions[name]["ContainerDefinitions"]
    }
    if own != {CONTAINER}:
        yield f"the containers are {sorted(own)}, {CONTAINER} is expected"
    for name, rule in stack.of_type("AWS::Events::Rule").items():
        for asked in _asked_of_containers(rule.get("EventPattern", {})):
            if "exitCode" in asked and asked.get("name") != [CONTAINER]:
                yield f"{name} matches the exit code of any container"


def _asked_of_containers(pattern: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(pattern, dict):
        for key, value in pattern.items():
            if key == "containers":
                yield value
            yield from _asked_of_containers(value)
    elif isinstance(pattern, list):
        for item in pattern:
            yield from _asked_of_containers(item)


@invariant
def the_rules_document_is_valid(stack: Translated) -> Iterator[str]:
    for name, parameter in stack.of_type("AWS::SSM::Parameter").items():
        try:
            rules = parse_rules(parameter["Value"])
        except RulesError as error:
            yield f"{name}: {error}"
            continue
        yield from rules.warnings
        if rules.rule_for("any/key.raw") is None:
            yield f"{name}: no rule for a key without a known prefix"
        if len(parameter["Value"].encode()) > 4096:
            yield f"{name}: longer than a standard parameter may be"
