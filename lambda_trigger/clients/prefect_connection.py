"""Requests to Prefect's API, with its authentication."""

import base64
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.http_client import HttpClient, Reply, Request, error_of, excerpt
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

    def ask(
        self,
        operation: str,
        method: str,
        path: str,
        deadline: Deadline,
        body: Mapping[str, Any] | None = None,
        *,
        has: str | None = "id",
        other: Collection[int] = (),
    ) -> tuple[int, Any]:
        """Send a request that is safe to send twice; return the response's status and JSON.

        The JSON of a success is an object that `has` this field, with `''` a list of objects, with
        None anything. The response may have one of the `other` statuses.

        Raises:
            TransportError: no response or another status, or the secret could not be read.
            RefusedError: the JSON is not as it should be.
        """
        reply, request = self._send(operation, method, path, deadline, body)
        if reply.status >= 300 and reply.status not in other:
            raise error_of(request, reply)
        answer = _parsed(reply.body)
        if has is not None and reply.status < 300 and not _is_answer(answer, has):
            raise RefusedError(
                *(request.service, operation, f"not an answer of Prefect: {excerpt(reply.body)}"),
                status=reply.status,
            )
        return reply.status, answer

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        deadline: Deadline,
        body: Mapping[str, Any] | None,
    ) -> tuple[Reply, Request]:
        written = None if body is None else json.dumps(body).encode()
        cached = self._authorization is not None
        while True:
            headers, target = self._headers(deadline), self._path + path
            request = Request("prefect", operation, method, self._origin, target, headers, written)
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


def _is_answer(answer: object, has: str) -> bool:
    if has:
        return isinstance(answer, dict) and has in answer
    return isinstance(answer, list) and all(isinstance(row, dict) for row in answer)
