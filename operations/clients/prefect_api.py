"""A client of Prefect's API that does not import Prefect, which takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from watchdog.prefect_http import PrefectHttp

# The server's own limit on a page (PREFECT_SERVER_API_DEFAULT_LIMIT).
PAGE = 200
_ATTEMPTS = 7
# Prefect Cloud's smallest plan allows 250 a minute; worker, trigger and tasks need the rest.
CLOUD_REQUESTS_A_MINUTE = 100.0
_WORKSPACE = re.compile(r"/accounts/([^/]+)/workspaces/([^/]+)")
# The variable with an operator's own limit.
RATE = "ECHODROP_PREFECT_RATE"


def requests_a_minute(url: str, configured: float | None = None) -> float | None:
    """Maximum requests a minute; None for no limit.

    `configured` is the operator's limit; 0 or None selects the default for the server.
    """
    return configured or (CLOUD_REQUESTS_A_MINUTE if _WORKSPACE.search(url) else None)


def run_page(url: str, run_id: str) -> str:
    """The page of a run in the UI of the server, or of the Cloud workspace, whose API is at `url`."""
    place = _WORKSPACE.search(url)
    if place is None:
        return f"{url.rstrip('/').removesuffix('/api')}/runs/flow-run/{run_id}"
    account, workspace = place.groups()
    return (
        f"https://app.prefect.cloud/account/{account}/workspace/{workspace}/runs/flow-run/{run_id}"
    )


class RateLimitedPrefectApi(PrefectHttp):
    """Prefect's API at `url`, with at most `per_minute` requests; transient errors are retried.

    After a 429 all threads wait as long as it says, at most ten minutes.
    """

    def __init__(
        self, url: str, authorization: str | None = None, *, per_minute: float | None = None
    ) -> None:
        super().__init__(
            url, authorization, attempts=_ATTEMPTS, per_minute=requests_a_minute(url, per_minute)
        )

    def runs(self, wanted: dict[str, Any], flow: str) -> Iterator[dict[str, Any]]:
        """Yield all runs of a flow (by name) that match a filter, the earliest expected first."""
        yield from self._all(
            "/flow_runs/filter",
            {
                "flow_runs": wanted,
                "flows": {"name": {"any_": [flow]}},
                "sort": "EXPECTED_START_TIME_ASC",
            },
        )

    def task_runs(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Yield all task runs of a flow run, the earliest expected first."""
        wanted = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        yield from self._all("/task_runs/filter", wanted)

    def _all(self, path: str, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
        seen = 0
        while page := self.ask("POST", path, wanted | {"limit": PAGE, "offset": seen}):
            yield from page
            seen += len(page)
            if len(page) < PAGE:
                return
