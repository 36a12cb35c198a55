"""The Prefect API: a flow run for an upload, made once however often it is asked for."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from lambda_trigger.clock import Deadline
from lambda_trigger.http_client import HttpClient, Reply, Request, error_of, excerpt
from lambda_trigger.transport_errors import ConfigurationError, RefusedError


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to ask Prefect for.

    `lane` is the work queue of the deployment's pool. `paused` says why the run
    has to wait for an operator.
    """

    deployment: str
    name: str
    tags: list[str]
    idempotency_key: str
    parameters: dict[str, Any]
    job_variables: dict[str, Any]
    lane: str
    paused: str | None = None


@dataclass(frozen=True, slots=True)
class FlowRun:
    """What Prefect answered. `created` is False where the identity had a run already."""

    id: str
    name: str
    state: str
    created: bool


class PrefectApi:
    """A client of the two calls that are needed.

    `read_secret` gives the text of the secret, or is None where the API takes
    requests without authentication.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str,
        read_secret: Callable[[Deadline], str] | None,
    ) -> None:
        parts = urlsplit(url)
        self._http = http
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.rstrip("/")
        self._read_secret = read_secret
        self._authorization: str | None = None
        self._deployment_ids: dict[str, str] = {}

    def create_run(self, wanted: RunRequest, deadline: Deadline) -> FlowRun:
        """Ask for a flow run; the same identity gives the run that exists.

        Raises:
            TransportError: Prefect did not give one; nothing about the upload is wrong.
        """
        known = wanted.deployment in self._deployment_ids
        reply, request = self._ask_for_run(wanted, deadline)
        if reply.status == 404 and known:
            # The deployment was made anew under its name: look it up again.
            del self._deployment_ids[wanted.deployment]
            reply, request = self._ask_for_run(wanted, deadline)
        if reply.status not in {200, 201}:
            raise error_of(request, reply)
        run = _json(request, reply)
        state = run.get("state") or {}
        return FlowRun(
            str(run["id"]), str(run["name"]), str(state.get("name", "")), reply.status == 201
        )

    def _ask_for_run(self, wanted: RunRequest, deadline: Deadline) -> tuple[Reply, Request]:
        body: dict[str, Any] = {
            "name": wanted.name,
            "tags": wanted.tags,
            "idempotency_key": wanted.idempotency_key,
            "parameters": wanted.parameters,
            "job_variables": wanted.job_variables,
            "work_queue_name": wanted.lane,
        }
        if wanted.paused:
            # pause_reschedule: on resume the run is scheduled for a worker to
            # fetch; without it Prefect would call it running, where nothing runs.
            body["state"] = {
                "type": "PAUSED",
                "name": "Paused",
                "message": wanted.paused,
                "state_details": {"pause_reschedule": True},
            }
        path = f"/deployments/{self._deployment_id(wanted.deployment, deadline)}/create_flow_run"
        return self._send("create_flow_run", "POST", path, deadline, json.dumps(body).encode())

    def _deployment_id(self, deployment: str, deadline: Deadline) -> str:
        if deployment not in self._deployment_ids:
            path = f"/deployments/name/{quote(deployment)}"
            reply, request = self._send(f"deployment {deployment}", "GET", path, deadline)
            if reply.status != 200:
                raise error_of(request, reply)
            self._deployment_ids[deployment] = str(_json(request, reply)["id"])
        return self._deployment_ids[deployment]

    def _send(
        self, operation: str, method: str, path: str, deadline: Deadline, body: bytes | None = None
    ) -> tuple[Reply, Request]:
        cached = self._authorization is not None
        while True:
            request = Request(
                "prefect",
                operation,
                method,
                self._origin,
                self._path + path,
                self._headers(deadline),
                body,
            )
            reply = self._http.send(request, deadline)
            if reply.status != 401 or not cached or self._read_secret is None:
                return reply, request
            # The secret may have been rotated since it was read: once more with the new one.
            cached, self._authorization = False, None

    def _headers(self, deadline: Deadline) -> dict[str, str]:
        headers = {"content-type": "application/json", "user-agent": "echodrop-trigger"}
        if self._read_secret is not None:
            if self._authorization is None:
                self._authorization = authorization_of(self._read_secret(deadline))
            headers["authorization"] = self._authorization
        return headers


def authorization_of(secret: str) -> str:
    """Make the Authorization header of a secret: an API key of Cloud, or a server's user:password.

    Raises:
        ConfigurationError: the secret is neither; its text is not in the message.
    """
    try:
        fields = json.loads(secret)
    except ValueError:
        fields = None
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


def _json(request: Request, reply: Reply) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or "id" not in answer:
        raise RefusedError(
            request.service,
            request.operation,
            f"no answer of Prefect's: {excerpt(reply.body)}",
            status=reply.status,
        )
    return answer
