"""Transport errors: the expected errors that return a record to SQS.

None of them is about the file. Each names the service, the operation and the
answer; `reason` is its name in metrics and in the runbook.
"""


class TransportError(Exception):
    """A request to a service failed; SQS delivers the record again."""

    reason = "transport"
    # Whether a retry may succeed by itself; if not, an operator has to act.
    transient = False

    def __init__(
        self,
        service: str,
        operation: str,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        answer = f"HTTP {status}: {detail}" if status is not None else detail
        super().__init__(f"{service} {operation}: {answer}")
        self.service = service
        self.operation = operation
        self.detail = detail
        self.status = status
        self.retry_after = retry_after


class UnavailableError(TransportError):
    """No answer in time, a broken connection, or a 5xx."""

    reason = "unavailable"
    transient = True


class ThrottledError(TransportError):
    """429, SlowDown, or another throttling error."""

    reason = "throttled"
    transient = True


class DeniedError(TransportError):
    """401 or 403: the trigger's credentials or permissions are wrong."""

    reason = "denied"


class MissingError(TransportError):
    """404 for a bucket, deployment, parameter or secret that the configuration names."""

    reason = "missing"


class RefusedError(TransportError):
    """The service refused the request (400, 409, 422), or its answer cannot be used.

    Prefect answers 409 when the parameters do not fit the deployment's schema
    and 422 when the job variables do not fit the work pool's. Neither is the
    file's fault: trigger and deployment are of different releases, often only
    during a roll-out. A rejection would lose the upload, so the record fails and
    SQS delivers it again. After the roll-out it succeeds. If not, it goes to the
    dead-letter queue, whose alarm reports a configuration error.
    """

    reason = "refused"


class OutOfTimeError(TransportError):
    """The invocation's time ended before the record was settled."""

    reason = "out-of-time"
    transient = True


class ConfigurationError(TransportError):
    """The settings, the rules document or the secret are wrong."""

    reason = "configuration"
