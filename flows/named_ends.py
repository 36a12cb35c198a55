"""What stores, credentials and disks raise, as the outcome that it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

from flows.object_store import error_code
from flows.outcomes import (
    AccessDenied,
    Archived,
    DiskFault,
    InvalidParameters,
    Outcome,
    TransientFault,
)
from flows.transient_faults import is_transient

_NO_CREDENTIALS = NoCredentialsError | PartialCredentialsError | SSOError


@contextmanager
def named_ends(what: str) -> Iterator[None]:
    """Raise what the block raises as the outcome that it is, naming `what` it was about.

    Outcomes, missing files (each caller has a name of its own for them) and what
    nobody foresaw pass unchanged.

    Args:
        what: the URI that was read or written.

    Raises:
        Archived: the object lies in an archive tier (Glacier, or Intelligent-Tiering's).
        AccessDenied: the store or the disk refuses, or there are no credentials.
        TransientFault: what passes by itself, and has not so far.
        InvalidParameters: a request that can't even be sent, as to a bucket of an impossible name.
        DiskFault: the local disk is full or broken.
        MemoryError: the system has no memory left, which it says as an OSError.
    """
    try:
        yield
    except (Outcome, FileNotFoundError):
        raise
    except Exception as error:
        named = _outcome_of(error, what)
        if named is None:
            raise
        raise named from error


def _outcome_of(error: Exception, what: str) -> Outcome | MemoryError | None:
    told = f"{type(error).__name__}: {error}"
    if is_transient(error):
        return TransientFault(what, told)
    if isinstance(error, ClientError) and error_code(error)[1] == "InvalidObjectState":
        return Archived(what, told)
    if _refuses(error):
        return AccessDenied(what, told)
    if isinstance(error, ParamValidationError | ProfileNotFound):
        return InvalidParameters(f"{what}: {told}")
    # Whoever builds one without a number means no disk.
    if isinstance(error, OSError) and error.errno is not None:
        return MemoryError(told) if error.errno == errno.ENOMEM else DiskFault(what, told)
    return None


def _refuses(error: Exception) -> bool:
    if isinstance(error, ClientError):
        status, code = error_code(error)
        return status in {401, 403} or code == "NoSuchBucket"
    return isinstance(error, PermissionError | _NO_CREDENTIALS)
