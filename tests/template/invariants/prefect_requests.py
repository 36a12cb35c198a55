"""Every client of Prefect waits after a 429, but not too long."""

from collections.abc import Iterator

from prefect.settings import get_current_settings

from operations.clients.prefect_api import RATE
from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated
from watchdog.prefect_look import PATIENCE

# Prefect Cloud counts requests by the minute.
MINUTE = 60
# The part of the watchdog's timeout for the queues, the incidents and the inbox.
FOR_THE_REST = 60
# Polls that a worker may miss before its health check fails (`is_worker_still_polling`).
MISSED_POLLS = 30


@invariant
def tasks_and_worker_survive_a_429(stack: Translated) -> Iterator[str]:
    unhealthy_after = MISSED_POLLS * get_current_settings().worker.query_seconds
    for name, definition in stack.of_type("AWS::ECS::TaskDefinition").items():
        for container in definition["ContainerDefinitions"]:
            environment = {item["Name"]: item["Value"] for item in container["Environment"]}
            retries = int(environment.get("PREFECT_CLIENT_MAX_RETRIES", "0"))
            # Prefect's default is 5. Without Retry-After its client waits 2, 4, 8 ... seconds.
            if retries <= get_current_settings().client.max_retries:
                yield f"{name} gives up after {retries} retries"
            if sum(2**each for each in range(1, retries + 1)) >= unhealthy_after:
                yield f"{name} waits so long that a worker's health check fails"


@invariant
def the_watchdog_survives_a_minute_of_429(stack: Translated) -> Iterator[str]:
    timeout = int(stack.of_type("AWS::Lambda::Function")["Watchdog"]["Timeout"])
    if PATIENCE < MINUTE:
        yield f"the watchdog stops waiting for Prefect after {PATIENCE} s"
    if timeout < PATIENCE + FOR_THE_REST:
        yield f"Prefect's 429 may take all {timeout} s of the watchdog"
    if timeout >= 5 * MINUTE:
        yield "two runs may overlap"


@invariant
def the_reconciliation_keeps_to_a_rate(stack: Translated) -> Iterator[str]:
    (container,) = stack.of_type("AWS::ECS::TaskDefinition")["OperationsTask"][
        "ContainerDefinitions"
    ]
    environment = {item["Name"]: str(item["Value"]) for item in container["Environment"]}
    if environment.get(RATE) != str(stack.resolver.resolve({"Ref": "PrefectRequestsPerMinute"})):
        yield f"it sends {environment.get(RATE)} requests a minute"
