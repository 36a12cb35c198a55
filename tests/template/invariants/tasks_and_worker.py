"""Tasks are confined, and the worker learns how they end."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

from moto.events.models import EventPattern
from prefect_aws.settings import EcsWorkerSettings

from sandbox.aws.event_bridge import matches
from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated
from tests.template.task_states import STATUSES, ends, state_change

# The definitions whose tasks execute flow runs.
OF_RUNS = ("ConversionTask", "OperationsTask")


@invariant
def containers_are_confined(stack: Translated) -> Iterator[str]:
    for name, definition in stack.of_type("AWS::ECS::TaskDefinition").items():
        if definition["NetworkMode"] != "awsvpc" or definition["RequiresCompatibilities"] != [
            "FARGATE"
        ]:
            yield f"{name} does not run on Fargate"
        for container in definition["ContainerDefinitions"]:
            if container.get("ReadonlyRootFilesystem") is not True or container.get("Privileged"):
                yield f"{name} may change its own image"
            capabilities = container.get("LinuxParameters", {}).get("Capabilities", {})
            if capabilities != {"Drop": ["ALL"]}:
                yield f"{name} keeps kernel capabilities"
            if "@sha256:" not in container["Image"]:
                yield f"{name} uses an image by its tag"
            # The container's own limit would remain when a flow run requests more memory.
            if "Memory" in container or "Cpu" in container:
                yield f"{name}: the container's limit would override the flow run's"


@invariant
def own_subnets_have_room_for_every_task(stack: Translated) -> Iterator[str]:
    vpcs = [IPv4Network(vpc["CidrBlock"]) for vpc in stack.of_type("AWS::EC2::VPC").values()]
    taken: list[IPv4Network] = []
    for name, subnet in stack.of_type("AWS::EC2::Subnet").items():
        block = IPv4Network(subnet["CidrBlock"])
        if block.prefixlen > 20:
            yield f"{name} has {block.num_addresses - 5} addresses, a task needs one"
        if not any(block.subnet_of(vpc) for vpc in vpcs):
            yield f"{name} is not in the VPC"
        if any(block.overlaps(other) for other in taken):
            yield f"{name} has addresses of another subnet"
        taken.append(block)


@invariant
def a_stopped_task_reschedules_its_run(stack: Translated) -> Iterator[str]:
    container = stack.of_type("AWS::ECS::TaskDefinition")["ConversionTask"]["ContainerDefinitions"][
        0
    ]
    environment = {item["Name"]: item["Value"] for item in container["Environment"]}
    if environment.get("PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR") != "reschedule":
        yield "a task that ECS stops leaves a crashed run"
    if not container.get("LinuxParameters", {}).get("InitProcessEnabled"):
        yield "SIGTERM may not reach the first process"


@invariant
def the_worker_only_gets_the_ends_of_tasks(stack: Translated) -> Iterator[str]:
    definitions = stack.of_type("AWS::ECS::TaskDefinition")
    container = definitions["WorkerTask"]["ContainerDefinitions"][0]
    environment = {item["Name"]: item["Value"] for item in container["Environment"]}
    watched = environment.get("PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_SQS_QUEUE_NAME")
    patterns = [
        rule["EventPattern"]
        for rule in stack.of_type("AWS::Events::Rule").values()
        if any(target["Arn"].endswith(f":{watched}") for target in rule["Targets"])
    ]
    ours, cluster = [definitions[name]["Family"] for name in OF_RUNS], stack.arn("Cluster")
    events = [
        *((state_change(cluster, family, status), status == "STOPPED") for family in ours for status in STATUSES),
        *((end, True) for family in ours for end in ends(cluster, family)),
        (state_change(cluster, definitions["WorkerTask"]["Family"], "STOPPED"), False),
        (state_change(f"{cluster}-of-another", ours[0], "STOPPED"), False),
    ]  # fmt: skip
    for event, wanted in events:
        if any(_matches(pattern, event) for pattern in patterns) is not wanted:
            detail = event["detail"]
            yield (
                f"{detail['group']} in {detail['clusterArn']}, {detail['lastStatus']}: "
                f"{'does not reach' if wanted else 'needlessly reaches'} the queue {watched}"
            )


@invariant
def the_worker_survives_a_bad_deployment(stack: Translated) -> Iterator[str]:
    for name, service in stack.of_type("AWS::ECS::Service").items():
        deployment = service.get("DeploymentConfiguration", {})
        if deployment.get("DeploymentCircuitBreaker") != {"Enable": True, "Rollback": True}:
            yield f"{name} keeps a broken worker"
        if deployment.get("MinimumHealthyPercent") != 100:
            yield f"{name} stops the old worker first"
        if int(service["DesiredCount"]) < 1:
            yield f"{name} has no worker"
    for definition in (stack.of_type("AWS::ECS::TaskDefinition")["WorkerTask"],):
        if "HealthCheck" not in definition["ContainerDefinitions"][0]:
            yield "a hanging worker is kept"


@invariant
def the_worker_s_first_task_has_its_route_and_its_secret(stack: Translated) -> Iterator[str]:
    worker = stack.of_type("AWS::ECS::TaskDefinition")["WorkerTask"]
    execution = worker["ExecutionRoleArn"]
    # It cannot wait for resources that a condition leaves out.
    needed = {
        name
        for name, resource in stack.resources.items()
        if resource["Type"] in {"AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation"}
        or (
            resource["Type"] == "AWS::IAM::RolePolicy"
            and execution.endswith(f"role/{resource['Properties']['RoleName']}")
        )
    }
    for name in stack.of_type("AWS::ECS::Service"):
        after = stack.resolver.resolve(stack.resources[name].get("Metadata", {}).get("After", []))
        awaited = {reference for references in after for reference in references}
        for early in sorted(needed):
            if stack.resolver.resolve({"Ref": early}) not in awaited:
                yield f"{name} may start before {early} exists"


@invariant
def the_worker_retries_while_the_quota_is_used_up(stack: Translated) -> Iterator[str]:
    (container,) = stack.of_type("AWS::ECS::TaskDefinition")["WorkerTask"]["ContainerDefinitions"]
    given = {item["Name"]: item["Value"] for item in container["Environment"]}
    prefix = "PREFECT_INTEGRATIONS_AWS_ECS_WORKER_"
    retries = {
        name.removeprefix(prefix).lower(): int(value)
        for name, value in given.items()
        if name.startswith(prefix)
    }
    # As prefect-aws reads them: an unknown or missing setting has its default.
    settings = EcsWorkerSettings(**retries)
    waits = (settings.create_task_run_max_attempts - 1) * settings.create_task_run_min_delay_seconds
    jitter = (
        settings.create_task_run_max_attempts - 1
    ) * settings.create_task_run_max_delay_jitter_seconds
    if waits < 240:
        yield f"a quota that is used up crashes a run after {waits} s"
    if waits + jitter > 840:
        yield f"a run may have no task for {waits + jitter} s, RunsPendingAlarm is raised after 900"


def _matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    moto_pattern: Any = EventPattern(None, pattern)
    return matches(event, pattern, moto_pattern._does_item_match_filters)
