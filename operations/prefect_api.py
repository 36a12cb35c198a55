"""Prefect's API, asked without the seconds that importing Prefect takes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from watchdog.prefect_http import PrefectHttp, PrefectUnreachableError

# The server's own limit on a page (PREFECT_SERVER_API_DEFAULT_LIMIT).
PAGE = 200
# Seconds that one request may wait for its turn and for 429 to end.
PATIENCE = 600.0
_ATTEMPTS = 7
# Of the 250 a minute that Prefect Cloud's smallest plan takes: worker, trigger and tasks need the rest.
CLOUD_REQUESTS_A_MINUTE = 100.0
# An operator's own number for it.
RATE = "ECHODROP_PREFECT_RATE"


class PrefectUnavailableError(Exception):
    """Prefect's API did not answer as it should."""


def authorization(api_key: str | None, auth_string: str | None) -> str | None:
    """The Authorization header of Prefect Cloud's key, or of a server's `user:password`."""
    if api_key:
        return f"Bearer {api_key}"
    if auth_string:
        return "Basic " + base64.b64encode(auth_string.encode()).decode()
    return None


def requests_a_minute(url: str, told: float | None = None) -> float | None:
    """How many requests a minute to send at most; None for no limit.

    Args:
        url: the API's.
        told: as an operator wants it; 0 or None for what suits the kind of server.
    """
    of_a_workspace = "/accounts/" in url and "/workspaces/" in url
    return told or (CLOUD_REQUESTS_A_MINUTE if of_a_workspace else None)


class PrefectApi:
    """Prefect's API at `url`, `per_minute` requests at most; what may pass is asked again.

    A 429 is waited for as long as it says, by all threads, ten minutes at most.
    """

    def __init__(
        self, url: str, authorization: str | None = None, *, per_minute: float | None = None
    ) -> None:
        self._http = PrefectHttp(
            url, authorization, attempts=_ATTEMPTS, per_minute=requests_a_minute(url, per_minute)
        )

    def runs(self, wanted: dict[str, Any], flow: str) -> Iterator[dict[str, Any]]:
        """All runs of a flow (by name) that a filter lets through, the earliest expected first."""
        yield from self._all(
            "/flow_runs/filter",
            {
                "flow_runs": wanted,
                "flows": {"name": {"any_": [flow]}},
                "sort": "EXPECTED_START_TIME_ASC",
            },
        )

    def task_runs(self, run_id: str) -> Iterator[dict[str, Any]]:
        """All task runs of a flow run, the earliest expected first."""
        wanted = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        yield from self._all("/task_runs/filter", wanted)

    def _all(self, path: str, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
        seen = 0
        while page := self.ask("POST", path, wanted | {"limit": PAGE, "offset": seen}):
            yield from page
            seen += len(page)
            if len(page) < PAGE:
                return

    def ask(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - any JSON
        """Send one request; give the answer's JSON.

        Raises:
            PrefectUnavailableError: no answer, or a refusal.
        """
        try:
            return self._http.ask(method, path, body, patience=PATIENCE)
        except PrefectUnreachableError as error:
            raise PrefectUnavailableError(str(error)) from error
