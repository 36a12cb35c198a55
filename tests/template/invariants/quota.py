"""The stack's tasks fit the account's quota."""

from collections.abc import Iterator

from flows.deployment.account_checks import (
    SMALLEST_QUOTA,
    WORKER_CPU,
    WORKERS_WHILE_REPLACED,
    LaneLimits,
)
from flows.deployment.deployment_specs import BACKFILL, LIVE
from operations.reconcile.reconcile_flow import reconcile_specs
from task_sizes import STANDARD
from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated


@invariant
def the_defaults_fit_the_quota_of_a_new_account(stack: Translated) -> Iterator[str]:
    defaults = {
        name: declaration.get("Default") for name, declaration in stack.source["Parameters"].items()
    }
    definitions = stack.of_type("AWS::ECS::TaskDefinition")
    if int(definitions["WorkerTask"]["Cpu"]) != WORKER_CPU:
        yield f"a worker takes {definitions['WorkerTask']['Cpu']} CPU units"
    deployment = stack.resources["WorkerService"]["Properties"]["DeploymentConfiguration"]
    if deployment["MaximumPercent"] != 100 * WORKERS_WHILE_REPLACED:
        yield f"during a replacement {deployment['MaximumPercent']} % of the workers run"
    task = definitions["ConversionTask"]
    if (int(task["Cpu"]), int(task["Memory"])) != (STANDARD.cpu, STANDARD.memory):
        yield "a conversion without a size is not a standard one"
    lanes = LaneLimits(
        int(defaults["LiveConcurrency"]),
        int(defaults["BackfillConcurrency"]),
        int(defaults["ConversionConcurrency"]),
        int(defaults["WorkerCount"]),
    )
    taken = lanes.vcpu()
    reconciliation = int(definitions["OperationsTask"]["Cpu"])
    if not {spec.work_queue for spec in reconcile_specs("echodrop")} <= {LIVE, BACKFILL}:
        taken += reconciliation / 1024
    elif reconciliation > STANDARD.cpu:
        yield "the reconciliation takes more than a conversion's place in its lane"
    if taken > SMALLEST_QUOTA:
        yield f"everything at once needs {taken:g} vCPU, a new account has {SMALLEST_QUOTA}"
