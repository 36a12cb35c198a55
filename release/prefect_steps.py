"""The Prefect steps of a removal. Each succeeds if its object is already gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment.automations import our_automations
from release.steps import Step, StepContext, StepFailedError

_PAGE = 200


@contextmanager
def _prefect(url: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        try:
            yield client
        except httpx.HTTPError as error:
            remedy = "prefect cloud login, or --no-prefect if Prefect itself is gone"
            raise StepFailedError(f"{url}: {error}", remedy) from error


def pause_pool(url: str, pool: str) -> Step:
    """Pause the work pool."""

    def run(context: StepContext) -> None:
        with _prefect(url) as client:
            try:
                client.update_work_pool(pool, WorkPoolUpdate(is_paused=True))
            except ObjectNotFound:
                context.say("      it is already gone")

    title = f"pause work pool {pool}, so that no conversion starts"
    return Step(title, [f"prefect work-pool pause {pool}"], run)


def delete_prefect_objects(url: str, pool: str) -> Step:
    """Delete echodrop's automations, the pool's deployments, and the pool; runs and their logs stay."""

    def run(context: StepContext) -> None:
        named = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
        with _prefect(url) as client:
            for name, automation in our_automations(client).items():
                client.delete_automation(automation.id)
                context.say(f"      automation {name} deleted")
            while found := client.read_deployments(work_pool_filter=named, limit=_PAGE):
                for deployment in found:
                    client.delete_deployment(deployment.id)
                    context.say(f"      deployment {deployment.name} deleted")
            try:
                client.delete_work_pool(pool)
            except ObjectNotFound:
                context.say("      the pool is already gone")

    shown = [
        "prefect automation delete NAME    # each one of echodrop",
        f"prefect deployment delete NAME    # each one of work pool {pool}",
        f"prefect work-pool delete {pool}",
    ]
    title = f"delete the automations, the deployments of work pool {pool}, and the pool"
    return Step(title, shown, run)
