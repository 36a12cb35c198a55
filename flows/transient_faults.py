"""Which faults pass by themselves, and how long to wait for that.

One classification serves every retry: the single request to a store, the step
run from the command line, and the flow's tasks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import botocore.exceptions
import tenacity
import urllib3.exceptions

from flows.outcomes import Outcome, TransientFault

T = TypeVar("T")

# Of a whole step without Prefect: two minutes in all at least, four at most, and
# a claim left by a killed run expires within one.
ATTEMPTS = 8
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0

# Beyond 5xx and 429: what S3 and its credentials say of a state that passes.
_TRANSIENT_CODES = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "ExpiredToken",
        "ConditionalRequestConflict",
        "OperationAborted",
        "BadDigest",
    }
)

_TRANSIENT_TYPES = (
    TransientFault,
    ConnectionError,
    TimeoutError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    botocore.exceptions.FlexibleChecksumError,
    botocore.exceptions.CredentialRetrievalError,
    urllib3.exceptions.HTTPError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same step may well succeed a little later."""
    if isinstance(error, Outcome):
        return isinstance(error, TransientFault)
    if isinstance(error, botocore.exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        return status >= 500 or status == 429 or code in _TRANSIENT_CODES
    return isinstance(error, _TRANSIENT_TYPES)


def backoff_seconds(attempt: int, *, base: float, longest: float) -> float:
    """Exponential wait after the `attempt`-th attempt (from 1): half of it is sure, half is chance."""
    whole = min(longest, base * 2**attempt)
    # S311: spreads retries of many tasks in time; nothing secret depends on it.
    return random.uniform(whole / 2, whole)  # noqa: S311


def retrying(call: Callable[[], T], *, attempts: int, base: float = 0.1, longest: float = 5.0) -> T:
    """The result of `call`, tried again while it fails with a transient fault.

    Raises:
        BaseException: what the last attempt raised, or the first lasting fault.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: backoff_seconds(state.attempt_number, base=base, longest=longest),
        reraise=True,
    )(call)


def patiently(step: Callable[[], T]) -> T:
    """The result of a whole step, tried again for two to four minutes; raises as `retrying` does."""
    return retrying(step, attempts=ATTEMPTS, base=FIRST_WAIT_SECONDS, longest=LONGEST_WAIT_SECONDS)
