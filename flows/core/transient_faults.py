"""Classifies transient faults, and retries them with back-off.

Every retry uses the same classification: a single request to a store, a step of the
command line, and the flow's tasks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import botocore.exceptions
import tenacity
import urllib3.exceptions

from flows.core.outcomes import TransientFault
from flows.core.run_ends import Outcome

T = TypeVar("T")

# For a whole step without Prefect: two to four minutes in total, while the claim of a killed run
# expires within one.
ATTEMPTS = 8
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0

# In addition to 5xx and 429: transient error codes of S3 and of credentials.
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
    """Whether the same step may succeed a little later."""
    if isinstance(error, Outcome):
        return isinstance(error, TransientFault)
    if isinstance(error, botocore.exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        return status >= 500 or status == 429 or code in _TRANSIENT_CODES
    return isinstance(error, _TRANSIENT_TYPES)


def backoff_seconds(attempt: int, *, base: float, longest: float) -> float:
    """Exponential wait after the `attempt`-th attempt (from 1), with half of it random."""
    whole = min(longest, base * 2**attempt)
    # S311: this spreads the retries of many tasks; it is not used for security.
    return random.uniform(whole / 2, whole)  # noqa: S311


def retrying(call: Callable[[], T], *, attempts: int, base: float = 0.1, longest: float = 5.0) -> T:
    """The result of `call`, retried after transient faults.

    Raises:
        BaseException: the exception of the last attempt, or the first that is not transient.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: backoff_seconds(state.attempt_number, base=base, longest=longest),
        reraise=True,
    )(call)


def retry_step(step: Callable[[], T]) -> T:
    """The result of a whole step, retried for two to four minutes; raises as `retrying` does."""
    return retrying(step, attempts=ATTEMPTS, base=FIRST_WAIT_SECONDS, longest=LONGEST_WAIT_SECONDS)
