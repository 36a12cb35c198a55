"""Measures how many ended tasks per second the worker's observer handles, by EventBridge rule.

    python -m benchmarks.observer [--tasks 40] [--round-trip 0.08]

prefect-aws's own observer reads moto's queue and asks a real Prefect server behind a
proxy that adds a round-trip time. EventBridge fills the queue with Fargate's events of
each task, eight state changes, once with a rule that matches every change in the
cluster and once with the template's rule. Each task belongs to a pending flow run, and
ends with exit code 0. The observer handles one message after another, so the rate is
the number of tasks divided by the seconds until the queue is empty. Prints both rates
with their ratio. Exits with 1 if the template's rule is not faster.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from benchmarks.measuring.latency_proxy import latency_proxy
from benchmarks.measuring.servers import moto, port_of, prefect_on_sqlite, running
from sandbox.aws.aws_resources import keep_tasks_running, registration_arguments
from sandbox.aws.ecs_tasks import (
    DETAIL_TYPE,
    STARTING_STATES,
    STOPPING_STATES,
    change_detail,
    stopped_detail,
)
from sandbox.parts.environments import aws_environment, prefect_environment
from sandbox.parts.ports import HOST
from sandbox.prefect.prefect_api import SandboxPrefectApi
from sandbox.stack.template import UNUSED_PARAMETERS, Stack

EVENTS_AT_ONCE = 10
PATIENCE = 1800
# Longer than the long polling of prefect-aws.
LONG_POLL = 22
Pattern = Mapping[str, Any]


def rules(stack: Stack) -> dict[str, Pattern]:
    """Return the pattern that matches every change in the cluster, and the template's."""
    ours = stack.rule("TaskStateRule").pattern
    if ours is None:
        raise ValueError("the rule of the template is a schedule")
    cluster = {"clusterArn": ours["detail"]["clusterArn"]}
    return {"every change": {**ours, "detail": cluster}, "the template's": ours}


def start_tasks(
    client: Any,  # noqa: ANN401 - returns boto3's clients
    api: SandboxPrefectApi,
    stack: Stack,
    count: int,
) -> list[dict[str, Any]]:
    """Create pending flow runs and their tasks; return the tasks as ECS describes them."""
    flow = api.request("POST", "/flows/", {"name": "convert-raw-sonar"})["id"]
    definition = stack.task_definition("ConversionTask")
    ecs, ec2 = client("ecs"), client("ec2")
    network = {
        "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }
    described = []
    for _ in range(count):
        pending = {"type": "PENDING", "name": "Pending"}
        run = api.request("POST", "/flow_runs/", {"flow_id": flow, "state": pending})["id"]
        answer = ecs.run_task(
            cluster=stack.outputs()["ClusterName"],
            taskDefinition=definition["family"],
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
            overrides={"containerOverrides": [{"name": "prefect", "command": ["true"]}]},
            tags=[
                {"key": "prefect.io/flow-run-id", "value": run},
                {"key": "prefect.io/flow-run-name", "value": run},
            ],
        )
        described += answer["tasks"]
    return described


def events_of(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return Fargate's events of a task that succeeds."""
    before = (change_detail(described, each) for each in (*STARTING_STATES, "RUNNING"))
    after = (change_detail(described, each) for each in STOPPING_STATES)
    return [*before, *after, stopped_detail(described, 0, asked_to_stop=False)]


def feed(client: Any, stack: Stack, pattern: Pattern, tasks: list[dict[str, Any]]) -> int:  # noqa: ANN401 - returns boto3's clients
    """Send the events of all tasks to EventBridge with one rule; return the number of messages."""
    events, rule = client("events"), stack.rule("TaskStateRule")
    events.put_rule(Name=rule.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule.name, Targets=list(rule.targets))
    # Tasks run in parallel: the first change of each, then the second of each.
    details = [each for changes in zip(*map(events_of, tasks), strict=True) for each in changes]
    for first in range(0, len(details), EVENTS_AT_ONCE):
        events.put_events(
            Entries=[
                {"Source": "aws.ecs", "DetailType": DETAIL_TYPE, "Detail": json.dumps(detail)}
                for detail in details[first : first + EVENTS_AT_ONCE]
            ]
        )
    return unread(client, stack)


def unread(client: Any, stack: Stack) -> int:  # noqa: ANN401 - returns boto3's clients
    """Return how many messages the observer has not deleted."""
    sqs, counts = client("sqs"), ("", "NotVisible")
    url = sqs.get_queue_url(QueueName=stack.queue("TaskStateQueue").name)["QueueUrl"]
    names = [f"ApproximateNumberOfMessages{each}" for each in counts]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counts[name]) for name in names)


async def observe(client: Any, stack: Stack) -> float:  # noqa: ANN401 - returns boto3's clients
    """Run the observer until its queue is empty; return the seconds."""
    # Imported after the environment is set for AWS and Prefect.
    from prefect_aws.observers.ecs import ecs_observer  # noqa: PLC0415

    started = time.perf_counter()
    observer = asyncio.create_task(ecs_observer.run())  # type: ignore[no-untyped-call]  # has no types
    while await asyncio.to_thread(unread, client, stack):
        if observer.done():
            observer.result()
            raise RuntimeError("the observer ended before its queue was empty")
        if time.perf_counter() - started > PATIENCE:
            raise TimeoutError("the observer left messages in its queue; see its log")
        await asyncio.sleep(0.1)
    seconds = time.perf_counter() - started
    observer.cancel()
    await asyncio.gather(observer, return_exceptions=True)
    # Its last poll is still open at the server, and would receive and lose a message.
    await asyncio.sleep(LONG_POLL)
    return seconds


def measure(client: Any, api: SandboxPrefectApi, stack: Stack, count: int) -> None:  # noqa: ANN401 - returns boto3's clients
    """Measure both rules and print them with their ratio."""
    ecs = client("ecs")
    ecs.create_cluster(clusterName=stack.outputs()["ClusterName"])
    ecs.register_task_definition(**registration_arguments(stack.task_definition("ConversionTask")))
    client("sqs").create_queue(QueueName=stack.queue("TaskStateQueue").name)
    patterns = rules(stack)
    # Warm-up: imports, connections and caches are not measured.
    feed(client, stack, patterns["every change"], start_tasks(client, api, stack, 2))
    asyncio.run(observe(client, stack))
    rates = {}
    for name, pattern in patterns.items():
        messages = feed(client, stack, pattern, start_tasks(client, api, stack, count))
        seconds = asyncio.run(observe(client, stack))
        rates[name] = count / seconds
        print(
            f"{name:<16}{messages:>6} messages of {count} tasks, {seconds:6.1f} s, "
            f"{messages / seconds:5.1f} messages a second, {rates[name]:5.2f} tasks a second"
        )
    every, ours = rates.values()
    print(f"ratio: x{ours / every:.1f} tasks a second with the template's rule")
    if ours <= every:
        raise SystemExit("the template's rule is not faster")


def main() -> None:
    """Start moto and a Prefect server, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--round-trip", type=float, default=0.08, help="seconds to Prefect")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            moto(folder) as aws_port,
            running(prefect_on_sqlite(folder)) as server,
            latency_proxy(port_of(server), options.round_trip) as proxy,
        ):
            aws_url, api_url = f"http://{HOST}:{aws_port}", f"http://{HOST}:{port_of(server)}/api"
            keep_tasks_running(aws_url)
            stack = Stack.read(
                {**UNUSED_PARAMETERS, "PrefectApiUrl": api_url, "PrefectAuth": "none"}
            )
            os.environ |= aws_environment(aws_url)
            os.environ |= prefect_environment(folder, f"http://{HOST}:{proxy.port}/api")
            queue = stack.queue("TaskStateQueue").name
            os.environ["PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_SQS_QUEUE_NAME"] = queue
            measure(boto3.Session().client, SandboxPrefectApi(api_url), stack, options.tasks)


if __name__ == "__main__":
    main()
