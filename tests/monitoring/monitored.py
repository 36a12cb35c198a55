"""Runs the template's schedules and alarms beside a sandbox, with time that passes faster."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.parts.environments import aws_environment, system_environment
from sandbox.parts.orphans import MARK
from sandbox.parts.processes import Part
from sandbox.system import Sandbox
from tests.monitoring.scheduler import seconds_of

SCHEDULER, ALARMS = "scheduler", "alarms"


@contextmanager
def monitored(sandbox: Sandbox, speedup: float) -> Iterator[None]:
    """Start the schedules, with the real watchdog, and the alarms of a running sandbox."""
    stack, logs = sandbox.stack, sandbox.state.logs
    watchdog = stack.properties("Watchdog")
    arn = stack.resolver.resolve({"Fn::GetAtt": ["Watchdog", "Arn"]})
    call = {"name": watchdog["FunctionName"], "handler": watchdog["Handler"]}
    call["timeout"] = watchdog["Timeout"]
    plan = [
        call | {"every": seconds_of(rule["ScheduleExpression"]) / speedup}
        for rule in map(stack.properties, stack.of_type("AWS::Events::Rule"))
        if "ScheduleExpression" in rule
        for target in rule["Targets"]
        if target["Arn"] == arn
    ]
    variables = dict(watchdog["Environment"]["Variables"])
    look_back = float(variables["ECHODROP_LOOK_BACK_SECONDS"]) / speedup
    variables["ECHODROP_LOOK_BACK_SECONDS"] = str(look_back)
    alarms = {name: stack.properties(name) for name in stack.of_type("AWS::CloudWatch::Alarm")}
    functions = [watchdog["FunctionName"], stack.trigger().name]
    aws = {
        **system_environment(),
        **aws_environment(sandbox.aws_endpoint_url),
        MARK: sandbox.sandbox_id,
    }
    arguments = {
        SCHEDULER: ["--plan", json.dumps(plan)],
        ALARMS: [
            *("--alarms", json.dumps(alarms), "--logs", str(logs), "--speedup", str(speedup)),
            *(part for name in functions for part in ("--function", name)),
        ],
    }
    for name, given in arguments.items():
        sandbox.parts.launch(
            Part(
                name,
                [sys.executable, "-m", f"tests.monitoring.{name}", *given],
                {**aws, **(variables if name == SCHEDULER else {})},
                logs / f"{name}.log",
                is_ready={SCHEDULER: "running", ALARMS: "evaluating"}[name],
            )
        )
    sandbox.parts.wait_ready(*arguments)
    try:
        yield
    finally:
        sandbox.parts.stop(ALARMS, SCHEDULER)
