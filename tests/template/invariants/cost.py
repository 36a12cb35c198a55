"""The spending is reported, and an unexpected load is stopped."""

import tomllib
from collections.abc import Iterator

from flows.deployment.account_checks import COST_TAG, RUNS_AN_HOUR_OF_A_SLOT, LaneLimits
from tests.template.invariants.registry import ROOT, invariant
from tests.template.stacks import Translated
from watchdog.settings import SettingsError, WatchdogSettings, read_settings


@invariant
def cost_is_limited_by_default(stack: Translated) -> Iterator[str]:
    defaults = {name: each.get("Default") for name, each in stack.source["Parameters"].items()}
    for name in ("MonthlyBudgetUsd", "BrakeRunsAnHour", "BrakeBudgetPercent"):
        if not defaults[name]:
            yield f"{name} is off by default"
    lanes = LaneLimits(int(defaults["LiveConcurrency"]), int(defaults["BackfillConcurrency"]))
    if lanes.runs * RUNS_AN_HOUR_OF_A_SLOT > int(defaults["BrakeRunsAnHour"]):
        yield "full lanes trigger the brake"


@invariant
def the_budget_counts_the_tag_of_the_stack(stack: Translated) -> Iterator[str]:
    sam = tomllib.loads((ROOT / "samconfig.toml").read_text())
    tag = sam["default"]["deploy"]["parameters"]["tags"]
    if not tag.startswith(f"{COST_TAG}="):
        yield f"the stack is tagged {tag}, the check looks for {COST_TAG}"
    for budget in stack.of_type("AWS::Budgets::Budget").values():
        counted = budget["Budget"]["CostFilters"]
        if counted != {"TagKeyValue": [f"user:{tag.replace('=', '$')}"]}:
            yield f"the budget counts by {counted}, the stack is tagged {tag}"


@invariant
def the_brake_finds_its_settings(stack: Translated) -> Iterator[str]:
    try:
        settings = _settings(stack)
    except SettingsError as error:
        yield str(error)
        return
    for name, found in (
        ("BrakeRunsAnHour", settings.brake.runs_an_hour),
        ("BrakeBudgetPercent", settings.brake.budget_percent),
    ):
        if (found or 0) != float(stack.resolver.resolve({"Ref": name})):
            yield f"the watchdog has {found} as {name}"
    output = stack.resolver.resolve(stack.template["Outputs"]["Output"]["Value"])
    prefix = stack.resolver.resolve({"Ref": "OutputPrefix"})
    if settings.brake_note != (output, f"{prefix}.echodrop/brake/"):
        yield f"it writes its record to {'/'.join(settings.brake_note)}"
    budgets = stack.of_type("AWS::Budgets::Budget").values()
    owner = f"arn:{stack.account.partition}:budgets::{stack.account.account}"
    names = [budget["Budget"]["BudgetName"] for budget in budgets]
    if settings.budget_arn not in [
        *(f"{owner}:budget/{name}" for name in names),
        *([] if names else [None]),
    ]:
        yield f"it reads {settings.budget_arn}, the stack has the budgets {names}"


@invariant
def the_watchdog_may_pull_the_brake(stack: Translated) -> Iterator[str]:
    settings = _settings(stack)
    note = stack.bucket_arn(f"{'/'.join(settings.brake_note)}*")
    asked = [("s3:GetObject", note), ("s3:PutObject", note)]
    if settings.budget_arn:
        asked.append(("budgets:ViewBudget", settings.budget_arn))
    ours = [each for each in stack.statements() if each.owner == "WatchdogRole" and each.allows]
    for action, resource in asked:
        if not any(
            action in each.listed("Action") and resource in each.listed("Resource") for each in ours
        ):
            yield f"the watchdog may not {action} {resource}"
    listed = [
        each.body.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
        for each in ours
        if "s3:ListBucket" in each.listed("Action")
    ]
    if f"{settings.brake_note[1]}*" not in listed:
        yield "the watchdog may not list its record, so a missing one looks forbidden"


def _settings(stack: Translated) -> WatchdogSettings:
    """Return the watchdog's settings.

    Raises:
        SettingsError: one is missing or can't be used.
    """
    function = stack.of_type("AWS::Lambda::Function")["Watchdog"]
    return read_settings(function["Environment"]["Variables"])
