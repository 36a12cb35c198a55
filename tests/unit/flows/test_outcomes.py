from __future__ import annotations

import errno
import json
import pickle
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from flows.core.outcomes import (
    AccessDenied,
    Archived,
    BadFile,
    BadSidecar,
    ClaimLost,
    ConversionFailure,
    DiskFault,
    InvalidParameters,
    MissingSidecar,
    OutputClaimed,
    OutputConflict,
    OutputMismatch,
    SourceChanged,
    Superseded,
    TransientFault,
    UnsupportedDatagram,
    WrongModel,
)
from flows.core.run_ends import Outcome
from flows.core.transient_faults import is_transient, retrying
from flows.stores.errors import named_ends

ALL: list[Outcome] = [
    BadFile("f.raw", "cut", last_good_byte=7, last_good_ping=datetime(2007, 7, 24, tzinfo=UTC)),
    WrongModel("f.raw", "EK60", "EK80"),
    MissingSidecar("f.01A", "settings XML"),
    BadSidecar("f.raw", "f.bot", "cut"),
    UnsupportedDatagram("f.raw", "XYZ0", "unknown"),
    SourceChanged("f.raw", "a", "b"),
    OutputMismatch("f.zarr", "differs"),
    OutputConflict("f.zarr", "a", "b"),
    AccessDenied("s3://b", "403"),
    Archived("s3://b/f.raw", "InvalidObjectState"),
    DiskFault("out.zarr", "full"),
    InvalidParameters("no such model"),
    Superseded("f.raw", "a", "b"),
    TransientFault("s3", "503"),
    OutputClaimed("f.zarr", "run"),
    ClaimLost("f.zarr"),
]


@pytest.mark.parametrize("outcome", ALL, ids=lambda outcome: outcome.outcome)
def test_an_outcome_crosses_processes_and_becomes_json(outcome: Outcome) -> None:
    again = pickle.loads(pickle.dumps(outcome))  # noqa: S301 - our own bytes
    assert type(again) is type(outcome)
    assert (str(again), vars(again)) == (str(outcome), vars(outcome))
    facts = json.loads(json.dumps(outcome.facts()))
    assert facts["outcome"] == type(outcome).__name__
    assert facts["message"] == str(outcome)


def test_the_message_of_a_bad_file_has_its_intact_part() -> None:
    assert str(ALL[0]) == (
        "f.raw: cut (intact up to byte 7, last whole ping 2007-07-24T00:00:00+00:00)"
    )


def _answer(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # only the needed keys
        "PutObject",
    )


@pytest.mark.parametrize(
    ("status", "code", "named"),
    [
        (403, "InvalidObjectState", Archived),
        (403, "AccessDenied", AccessDenied),
        (404, "NoSuchBucket", AccessDenied),
    ],
)
def test_archived_and_refused_objects_have_different_outcomes(
    status: int, code: str, named: type[Outcome]
) -> None:
    with pytest.raises(named) as raised, named_ends("s3://b/f.raw"):
        raise _answer(status, code)
    assert raised.value.facts()["what"] == "s3://b/f.raw"


def test_a_system_without_memory_is_not_a_disk_fault() -> None:
    with pytest.raises(MemoryError), named_ends("s3://b/f.raw"):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")
    with pytest.raises(DiskFault), named_ends("s3://b/f.raw"):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        *[(outcome, isinstance(outcome, TransientFault)) for outcome in ALL],
        (_answer(500, "InternalError"), True),
        (_answer(503, "SlowDown"), True),
        (_answer(409, "ConditionalRequestConflict"), True),
        (_answer(400, "RequestTimeout"), True),
        (_answer(403, "AccessDenied"), False),
        (_answer(412, "PreconditionFailed"), False),
        (ConnectTimeoutError(endpoint_url="x"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ValueError(), False),
        (MemoryError(), False),
    ],
    ids=str,
)
def test_only_transient_faults_are_retried(error: Exception, passes: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_transient(error) is passes
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retrying(fail, attempts=3, base=0.001, longest=0.002)
    assert len(calls) == (3 if passes else 1)
    assert not (passes and isinstance(error, ConversionFailure))
