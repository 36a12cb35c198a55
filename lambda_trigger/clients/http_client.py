"""HTTP with keep-alive, time-outs and bounded retries, on urllib3.

Any number of threads may send; a Lambda environment serves one invocation at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from lambda_trigger.clients.clock import Deadline, back_off
from lambda_trigger.clients.transport_errors import (
    DeniedError,
    MissingError,
    RefusedError,
    ThrottledError,
    TransportError,
    UnavailableError,
)

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 10.0
ATTEMPTS = 4
# No answer that the trigger needs is longer than this, in bytes.
MAX_BODY = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response; header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. `target` is the quoted path and query; errors name the `operation`."""

    service: str
    operation: str
    method: str
    origin: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None = None


class HttpClient:
    """Sends requests and retries transient faults (5xx, 429, time-outs, broken connections)."""

    def __init__(self, connections: int = 1) -> None:
        self._pools = urllib3.PoolManager(num_pools=16, maxsize=connections, retries=False)

    def send(
        self,
        request: Request,
        deadline: Deadline,
        *,
        throttles: Callable[[Reply], bool] = lambda reply: reply.status == 429,
        body_limit: int = MAX_BODY,
    ) -> Reply:
        """Send a request and return its response; 429 and 5xx raise.

        It must be safe to send twice; no wait goes beyond the deadline. `throttles` returns
        whether a response asks to slow down; `body_limit` is the most bytes of a body to read.

        Raises:
            UnavailableError: no response, or a 5xx, after all attempts.
            ThrottledError: throttled after all attempts.
            OutOfTimeError: the deadline passed before the first attempt.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(request, deadline, throttles, body_limit)
            except (UnavailableError, ThrottledError) as error:
                wait = back_off(attempt)
                if error.retry_after is not None:
                    # Jitter is added, so that clients with the same Retry-After do not retry at once.
                    wait += error.retry_after
                if attempt == ATTEMPTS or not deadline.pause(wait):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(
        self,
        request: Request,
        deadline: Deadline,
        throttles: Callable[[Reply], bool],
        body_limit: int,
    ) -> Reply:
        service, operation = request.service, request.operation
        seconds = deadline.limit(CONNECT_TIMEOUT + READ_TIMEOUT, service, operation)
        timeout = Timeout(
            total=seconds, connect=min(CONNECT_TIMEOUT, seconds), read=min(READ_TIMEOUT, seconds)
        )
        try:
            response = self._pools.connection_from_url(request.origin).urlopen(
                request.method,
                request.target,
                body=request.body,
                headers=dict(request.headers),
                timeout=timeout,
                redirect=False,
                retries=False,
                preload_content=False,
            )
            # An error's body is read whole: it is small and holds the error code.
            body = response.read(body_limit if response.status < 300 else MAX_BODY)
            if response.length_remaining in {0, None}:
                response.release_conn()
            else:
                response.close()
        except HTTPError as error:
            raise UnavailableError(
                service, operation, f"{type(error).__name__}: {error} ({request.origin})"
            ) from error
        reply = Reply(response.status, response.headers, body)
        slow_down = throttles(reply)
        if not slow_down and reply.status < 500:
            return reply
        raise (ThrottledError if slow_down else UnavailableError)(
            service,
            operation,
            excerpt(body),
            status=reply.status,
            retry_after=_seconds(reply.headers.get("Retry-After")),
        )


def error_of(request: Request, reply: Reply) -> TransportError:
    """Return the error for an unexpected response."""
    kinds: dict[int, type[TransportError]] = {401: DeniedError, 403: DeniedError, 404: MissingError}
    kind = kinds.get(reply.status, RefusedError)
    return kind(request.service, request.operation, excerpt(reply.body), status=reply.status)


def excerpt(body: bytes) -> str:
    """Return the start of a response body as one line of text."""
    return " ".join(body[:400].decode("utf-8", errors="replace").split())


def _seconds(retry_after: str | None) -> float | None:
    # None of these services uses the other form, a date.
    try:
        seconds = float(retry_after) if retry_after else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < 900 else None
