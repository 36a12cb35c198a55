"""Prefect's API, asked without the seconds that importing Prefect takes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

# The server's own limit on a page (PREFECT_SERVER_API_DEFAULT_LIMIT).
PAGE = 200


class PrefectUnavailableError(Exception):
    """Prefect's API did not answer as it should."""


def authorization(api_key: str | None, auth_string: str | None) -> str | None:
    """The Authorization header of Prefect Cloud's key, or of a server's `user:password`."""
    if api_key:
        return f"Bearer {api_key}"
    if auth_string:
        return "Basic " + base64.b64encode(auth_string.encode()).decode()
    return None


class PrefectApi:
    """Prefect's API at `url`. A 429, a 5xx and a broken connection are asked again, with back-off."""

    def __init__(self, url: str, authorization: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"content-type": "application/json"}
        if authorization:
            self._headers["authorization"] = authorization
        self._http = urllib3.PoolManager(
            retries=urllib3.Retry(
                6,
                status_forcelist=[429, 500, 502, 503, 504],
                allowed_methods=None,
                backoff_factor=0.2,
            ),
            timeout=urllib3.Timeout(30),
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
        sent = None if body is None else json.dumps(body).encode()
        try:
            answer = self._http.request(method, self._url + path, body=sent, headers=self._headers)
        except HTTPError as error:
            raise PrefectUnavailableError(f"prefect {self._url}: {error}") from error
        if answer.status >= 400:
            told = " ".join(answer.data[:300].decode(errors="replace").split())
            raise PrefectUnavailableError(f"prefect {method} {path}: HTTP {answer.status}: {told}")
        return json.loads(answer.data)
