"""Turns exceptions of stores, credentials and disks into outcomes."""

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

from flows.core.outcomes import (
    AccessDenied,
    Archived,
    DiskFault,
    InvalidParameters,
    TransientFault,
)
from flows.core.public_uri import public_text, public_uri
from flows.core.run_ends import Outcome
from flows.core.transient_faults import is_transient
from flows.stores.object_store import error_code

_NO_CREDENTIALS = NoCredentialsError | PartialCredentialsError | SSOError


@contextmanager
def named_ends(what: str, *, writes: bool = False) -> Iterator[None]:
    """Turn exceptions of the block into outcomes that name `what` it read or wrote.

    Outcomes, missing files (each caller has its own outcome for them) and unknown exceptions pass
    unchanged. If the block `writes` an output, a missing folder is a fault of the disk.

    Raises:
        Archived: the object is in an archive tier (Glacier or Intelligent-Tiering).
        AccessDenied: the store or the disk refuses access, there are no credentials, or the
            bucket does not exist.
        TransientFault: a transient error that retries did not resolve.
        InvalidParameters: a request that cannot be sent, such as one with an invalid bucket name.
        DiskFault: the local disk is full or broken.
        MemoryError: the system has no memory left, which it reports as an OSError.
    """
    try:
        yield
    except Outcome:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not writes:
            raise
        named = _outcome_of(error, public_uri(what))
        if named is None:
            raise
        raise named from error


def _outcome_of(error: Exception, what: str) -> Outcome | MemoryError | None:
    cause = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        cause = f"{error.strerror}: {error.filename}"
    # Errors of urllib3 have the path with its query.
    cause = public_text(cause)
    if is_transient(error):
        return TransientFault(what, cause)
    if isinstance(error, ClientError) and error_code(error)[1] == "InvalidObjectState":
        return Archived(what, cause)
    if refusal := _refusal(error):
        return AccessDenied(what, cause, refusal)
    if isinstance(error, ParamValidationError | ProfileNotFound):
        return InvalidParameters(f"{what}: {cause}")
    # An OSError without a number does not come from a disk.
    if isinstance(error, OSError) and error.errno is not None:
        return MemoryError(cause) if error.errno == errno.ENOMEM else DiskFault(what, cause)
    return None


def _refusal(error: Exception) -> str | None:
    """How a store or the disk refuses access, None if it does not."""
    refused = isinstance(error, PermissionError | _NO_CREDENTIALS)
    if isinstance(error, ClientError):
        status, code = error_code(error)
        if code == "NoSuchBucket":
            return "the bucket does not exist"
        refused = status in {401, 403}
    return "access denied" if refused else None
