"""Of each kind of reconciliation one run at a time, on a real Prefect server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment.deployments import register
from operations.reconcile.reconcile_flow import reconcile_specs

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")

ApiCall = Callable[..., Any]
POOL = "reconciliation-alone"


@pytest.fixture
def deployments(prefect_api_url: str, prefect_api: ApiCall) -> Iterator[dict[str, str]]:
    """The two deployments' ids, by the end of their names; without a schedule."""
    specs = [replace(spec, cron=None) for spec in reconcile_specs("echodrop")]
    with temporary_settings({PREFECT_API_URL: prefect_api_url}):
        done = register(work_pool=POOL, work_pool_type="process", deployments=specs)
        assert register(work_pool=POOL, work_pool_type="process", deployments=specs).changes == []
    yield {name.rpartition("/")[2]: ident for name, ident in done.deployments.items()}
    for ident in done.deployments.values():
        prefect_api("DELETE", f"/deployments/{ident}")
    prefect_api("DELETE", f"/work_pools/{POOL}")


def taken(prefect_api: ApiCall, deployment: str) -> tuple[str, str]:
    """A new run's id, and its state after a worker wants to take it."""
    run = prefect_api("POST", f"/deployments/{deployment}/create_flow_run", {})["id"]
    return run, proposed(prefect_api, run, "PENDING")


def proposed(prefect_api: ApiCall, run: str, state: str) -> str:
    prefect_api("POST", f"/flow_runs/{run}/set_state", {"state": {"type": state}})
    found: str = prefect_api("GET", f"/flow_runs/{run}")["state"]["type"]
    return found


@pytest.mark.parametrize("kind", ["ecs", "whole"])
def test_a_run_that_comes_while_one_is_at_work_is_cancelled_and_the_next_one_looks(
    prefect_api: ApiCall, deployments: dict[str, str], kind: str
) -> None:
    first, state = taken(prefect_api, deployments[kind])
    assert (state, proposed(prefect_api, first, "RUNNING")) == ("PENDING", "RUNNING")
    assert taken(prefect_api, deployments[kind])[1] == "CANCELLED"
    # The other kind is not held up: an hour's look does not wait for that at everything.
    other = "whole" if kind == "ecs" else "ecs"
    beside, state = taken(prefect_api, deployments[other])
    assert state == "PENDING"
    assert proposed(prefect_api, beside, "CANCELLED") == "CANCELLED"
    assert proposed(prefect_api, first, "COMPLETED") == "COMPLETED"
    again, state = taken(prefect_api, deployments[kind])
    assert state == "PENDING"
    assert proposed(prefect_api, again, "CANCELLED") == "CANCELLED"


def test_the_look_at_everything_is_asked_for_by_its_own_parameters(
    prefect_api: ApiCall, deployments: dict[str, str]
) -> None:
    registered = {
        name: prefect_api("GET", f"/deployments/{it}") for name, it in deployments.items()
    }
    assert registered["ecs"]["parameters"] == {}
    assert registered["whole"]["parameters"] == {"whole": True, "verify_days": 0}
    for each in registered.values():
        assert each["global_concurrency_limit"]["limit"] == 1
        assert each["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
