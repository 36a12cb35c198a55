"""An HTTP client for Prefect's API that retries; the watchdog and the operator's commands use it.

Prefect Cloud answers 429 to requests above the plan's limit a minute, with the seconds
to wait in Retry-After. All threads wait that long and send no request meanwhile,
because it would also count.
"""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

# Statuses that are retried.
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 30.0


# Seconds that a request may wait for the rate limit and for 429 to end.
PATIENCE = 600.0


def authorization(api_key: str | None, auth_string: str | None) -> str | None:
    """The Authorization header of Prefect Cloud's key, or of a server's `user:password`."""
    if api_key:
        return f"Bearer {api_key}"
    if auth_string:
        return "Basic " + base64.b64encode(auth_string.encode()).decode()
    return None


class PrefectUnreachableError(Exception):
    """Prefect's API did not answer as expected; `status` is the HTTP status, None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class PrefectHttp:
    """Requests to Prefect's API at `url`, from any thread.

    Args:
        url: ends in `/api`, or names a workspace of Prefect Cloud.
        authorization: the Authorization header; None sends none.
        attempts: maximum attempts of a request that fails, not counting 429.
        per_minute: maximum requests a minute; None for no limit.
    """

    def __init__(
        self,
        url: str,
        authorization: str | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = 4,
        per_minute: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self._headers = {"content-type": "application/json"}
        if authorization:
            self._headers["authorization"] = authorization
        self._http = urllib3.PoolManager(
            maxsize=32, retries=False, timeout=urllib3.Timeout(timeout)
        )
        self._attempts = attempts
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0
        self._paused_until = 0.0

    def ask(self, method: str, path: str, body: object, *, patience: float = PATIENCE) -> Any:  # noqa: ANN401 - any JSON
        """Send a request that is safe to repeat; return the JSON of the answer, None if it is empty.

        No further attempt begins after `patience` seconds.

        Raises:
            PrefectUnreachableError: the request was refused, or did not succeed in time.
        """
        deadline = self._clock() + patience
        failures = throttled = 0
        while True:
            self._take_turn(deadline, path)
            status, data, retry_after = self._attempt(method, path, body)
            if status is not None and status < 400:
                return _json(data, path, status)
            throttled += status == 429
            failures += status != 429
            wait = _wait(retry_after, failures + throttled)
            may_retry = (status is None or status in _TRANSIENT) and failures < self._attempts
            if not may_retry or self._clock() + wait >= deadline:
                answer = f"HTTP {status}" if status is not None else f"no answer from {self.url}"
                raise PrefectUnreachableError(
                    f"prefect {method} {path}: {answer}: {_line(data)}", status
                )
            if status == 429:
                self._pause(wait)
            else:
                self._sleep(wait)

    def _attempt(self, method: str, path: str, body: object) -> tuple[int | None, bytes, float]:
        """Send once; return status (None without an answer), body, and the seconds of Retry-After."""
        sent = None if body is None else json.dumps(body).encode()
        try:
            answer = self._http.request(method, self.url + path, body=sent, headers=self._headers)
        except HTTPError as error:
            return None, f"{type(error).__name__}: {error}".encode(), 0.0
        return answer.status, answer.data, _seconds(answer.headers.get("Retry-After"))

    def _take_turn(self, deadline: float, path: str) -> None:
        """Wait for the rate limit, and for the end of a 429 that any request received."""
        with self._lock:
            turn = max(self._clock(), self._next)
            self._next = turn + self._interval
        while (wait := max(turn, self._paused_until) - self._clock()) > 0:
            if self._clock() + wait >= deadline:
                raise PrefectUnreachableError(
                    f"prefect {self.url}{path}: rate limit: the request could not be sent in time",
                    429,
                )
            self._sleep(wait)

    def _pause(self, seconds: float) -> None:
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)


def _wait(retry_after: float, attempt: int) -> float:
    """Seconds to wait: those of Retry-After, else exponential backoff (attempts count from 1).

    Jitter spreads the retries of requests that failed together.
    """
    if retry_after:
        return retry_after + random.uniform(0.02, 0.2)  # noqa: S311 - jitter is not a secret
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter is not a secret


def _json(data: bytes, path: str, status: int) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(data) if data else None
    except ValueError:
        raise PrefectUnreachableError(f"prefect {path}: not JSON: {_line(data)}", status) from None


def _line(data: bytes) -> str:
    return " ".join(data[:300].decode(errors="replace").split())


def _seconds(retry_after: str | None) -> float:
    # Prefect does not send the other form, a date.
    try:
        seconds = float(retry_after or 0)
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < 3600 else 0.0
