"""Transport errors: the only ones that hand a record back to SQS.

None of them says anything about the file. Each names the service, the
operation and what came back; `reason` is its word in metrics and runbook.
"""


class TransportError(Exception):
    """A service did not do what was asked; the record comes again."""

    reason = "transport"
    # Whether time alone may heal it; what it does not heal is a fault of ours.
    passes = False

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
    passes = True


class ThrottledError(TransportError):
    """429, or SlowDown and its kin."""

    reason = "throttled"
    passes = True


class DeniedError(TransportError):
    """401 or 403: our credentials or permissions are wrong."""

    reason = "denied"


class MissingError(TransportError):
    """404 of something that configuration names: bucket, deployment, parameter, secret."""

    reason = "missing"


class RefusedError(TransportError):
    """The request itself was refused (400, 409, 422, or an answer that is no answer).

    Prefect answers 409 when the parameters do not fit the deployment's schema
    and 422 when the job variables do not fit the work pool's. Neither is about
    the file: trigger and deployment are of different releases, often only for
    the minutes of a roll-out. A rejection would lose the upload for somebody
    else's fault, so the record fails: SQS brings it again, the roll-out's end
    heals it, and what never heals lands in the dead-letter queue, whose alarm
    is the right one for a fault of configuration.
    """

    reason = "refused"


class OutOfTimeError(TransportError):
    """The invocation's time ended before the record's turn or in the midst of it."""

    reason = "out-of-time"
    passes = True


class ConfigurationError(TransportError):
    """Settings, rules document or secret can't be used."""

    reason = "configuration"
