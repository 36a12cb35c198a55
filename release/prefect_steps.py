"""The Prefect steps of a removal. Each succeeds if its object is already gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment.automations import our_automations
from release.steps import StepContext, StepFailedError

_PAGE = 200


@contextmanager
def _prefect(url: str, title: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        try:
            yield client
        except httpx.HTTPError as error:
            raise StepFailedError(
                title,
                f"{url}: {error}",
                "prefect cloud login, or --no-prefect if Prefect itself is gone",
            ) from error


@dataclass(frozen=True)
class PausePool:
    """Pause the work pool."""

    url: str
    pool: str

    @property
    def title(self) -> str:
        """What the step does."""
        return f"pause work pool {self.pool}, so that no conversion starts"

    def shown(self) -> list[str]:
        """Return the command of Prefect."""
        return [f"prefect work-pool pause {self.pool}"]

    def run(self, context: StepContext) -> None:
        """Pause it."""
        with _prefect(self.url, self.title) as client:
            try:
                client.update_work_pool(self.pool, WorkPoolUpdate(is_paused=True))
            except ObjectNotFound:
                context.say("      it is already gone")


@dataclass(frozen=True)
class DeletePrefectObjects:
    """Delete echodrop's automations, the pool's deployments, and the pool; runs and their logs stay."""

    url: str
    pool: str

    @property
    def title(self) -> str:
        """What the step does."""
        return f"delete the automations, the deployments of work pool {self.pool}, and the pool"

    def shown(self) -> list[str]:
        """Return the commands of Prefect."""
        return [
            "prefect automation delete NAME    # each one of echodrop",
            f"prefect deployment delete NAME    # each one of work pool {self.pool}",
            f"prefect work-pool delete {self.pool}",
        ]

    def run(self, context: StepContext) -> None:
        """Delete them."""
        named = WorkPoolFilter(name=WorkPoolFilterName(any_=[self.pool]))
        with _prefect(self.url, self.title) as client:
            for name, automation in our_automations(client).items():
                client.delete_automation(automation.id)
                context.say(f"      automation {name} deleted")
            while found := client.read_deployments(work_pool_filter=named, limit=_PAGE):
                for deployment in found:
                    client.delete_deployment(deployment.id)
                    context.say(f"      deployment {deployment.name} deleted")
            try:
                client.delete_work_pool(self.pool)
            except ObjectNotFound:
                context.say("      the pool is already gone")
