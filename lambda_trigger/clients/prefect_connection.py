"""Requests to Prefect's API, with its authentication."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.http_client import HttpClient, Reply, Request, excerpt
from lambda_trigger.clients.transport_errors import ConfigurationError, RefusedError


class PrefectConnection:
    """Sends requests to the API at `url`.

    `read_secret` returns the secret's text; it is None if the API needs no
    authentication.
    """

    def __init__(
        self, http: HttpClient, url: str, read_secret: Callable[[Deadline], str] | None
    ) -> None:
        parts = urlsplit(url)
        self._http = http
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.rstrip("/")
        self._read_secret = read_secret
        self._authorization: str | None = None

    def send(
        self,
        operation: str,
        method: str,
        path: str,
        deadline: Deadline,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[Reply, Request]:
        """Send a request that is safe to send twice; return the response of any status.

        Raises:
            TransportError: no response, or the secret could not be read.
        """
        written = None if body is None else json.dumps(body).encode()
        cached = self._authorization is not None
        while True:
            request = Request(
                "prefect",
                operation,
                method,
                self._origin,
                self._path + path,
                self._headers(deadline),
                written,
            )
            reply = self._http.send(request, deadline)
            if reply.status != 401 or not cached or self._read_secret is None:
                return reply, request
            # The secret may have been rotated since it was read: retry with the new one.
            cached, self._authorization = False, None

    def _headers(self, deadline: Deadline) -> dict[str, str]:
        headers = {"content-type": "application/json", "user-agent": "echodrop-trigger"}
        if self._read_secret is not None:
            if self._authorization is None:
                self._authorization = authorization_of(self._read_secret(deadline))
            headers["authorization"] = self._authorization
        return headers


def authorization_of(secret: str) -> str:
    """Return the Authorization header for a secret: Cloud's API key or a server's user:password.

    Raises:
        ConfigurationError: the secret is neither. The message does not contain it.
    """
    fields = _parsed(secret)
    if isinstance(fields, Mapping):
        if isinstance(key := fields.get("api_key"), str) and key:
            return f"Bearer {key}"
        if isinstance(pair := fields.get("auth_string"), str) and pair:
            return "Basic " + base64.b64encode(pair.encode()).decode()
    raise ConfigurationError(
        "prefect",
        "read secret",
        "the secret must be JSON with 'api_key' or 'auth_string' ('user:password')",
    )


def _parsed(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON; None if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def rows_of(request: Request, reply: Reply) -> list[dict[str, Any]]:
    """Parse a response of Prefect that must be a list of objects.

    Raises:
        RefusedError: it is not.
    """
    answer = _parsed(reply.body)
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise RefusedError(
            request.service,
            request.operation,
            f"not a list of Prefect: {excerpt(reply.body)}",
        )
    return answer


def json_of(request: Request, reply: Reply, field: str = "id") -> dict[str, Any]:
    """Parse a response of Prefect that must have this field.

    Raises:
        RefusedError: it is not JSON, or the field is missing.
    """
    answer = _parsed(reply.body)
    if not isinstance(answer, dict) or field not in answer:
        raise RefusedError(
            request.service,
            request.operation,
            f"not an answer of Prefect: {excerpt(reply.body)}",
            status=reply.status,
        )
    return answer
