"""The named outcomes of a conversion, as exceptions with facts.

A `ConversionFailure` is final: the same bytes would fail again, so it is never retried,
and its class is the name of the flow run's Failed state. A `TransientFault` has an
external cause (the store answered 503, another run holds the output) and is retried
with back-off. Any other exception is a bug in echodrop.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar


def _rebuild(cls: type[Outcome], message: str, attributes: dict[str, Any]) -> Outcome:
    error = cls.__new__(cls, message)
    error.__dict__.update(attributes)
    return error


class Outcome(Exception):  # noqa: N818 - outcomes have the names of flow run states
    """Base class of all outcomes: a sentence for people, attributes for machines.

    `preflight` is set on a failure after the walk over the datagrams: the result of the
    walk as JSON values.
    """

    outcome: ClassVar[str]
    preflight: dict[str, Any] | None = None

    def facts(self) -> dict[str, Any]:
        """The attributes as JSON values, with `outcome` and `message`."""
        attributes = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }
        return {"outcome": self.outcome, "message": str(self), **attributes}

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which has the sentence and not the constructor's
        # arguments, so it fails in a Dask worker's reply.
        return _rebuild, (type(self), str(self), dict(vars(self)))


class ConversionFailure(Outcome):
    """The file cannot be converted, or not in the requested way. Never retried."""

    outcome = "ConversionFailure"


class BadFile(ConversionFailure):
    """The raw file is damaged, empty, or not a file of the format it claims.

    `last_good_byte` is the offset after the last whole datagram, `last_good_ping` the
    time of the last whole ping before the damage.
    """

    outcome = "BadFile"

    def __init__(
        self,
        file: str,
        cause: str,
        *,
        last_good_byte: int | None = None,
        last_good_ping: datetime | None = None,
    ) -> None:
        sentence = f"{file}: {cause}"
        if last_good_byte is not None:
            sentence += f" (intact up to byte {last_good_byte}"
            if last_good_ping is not None:
                sentence += f", last whole ping {last_good_ping.isoformat()}"
            sentence += ")"
        super().__init__(sentence)
        self.file = file
        self.cause = cause
        self.last_good_byte = last_good_byte
        self.last_good_ping = last_good_ping


class WrongModel(ConversionFailure):
    """The file has another sonar model than the declared one."""

    outcome = "WrongModel"

    def __init__(self, file: str, declared: str, found: str) -> None:
        super().__init__(f"{file}: declared as {declared}, but the file is from {found}")
        self.file = file
        self.declared = declared
        self.found = found


class MissingSidecar(ConversionFailure):
    """A sidecar that is needed or requested does not exist.

    `sidecar` is its URI, or its kind if no URI was given
    (`settings XML`, `.bot`).
    """

    outcome = "MissingSidecar"

    def __init__(self, file: str, sidecar: str, cause: str = "does not exist") -> None:
        super().__init__(f"{file}: sidecar {sidecar} {cause}")
        self.file = file
        self.sidecar = sidecar
        self.cause = cause


class BadSidecar(ConversionFailure):
    """A sidecar is damaged; the raw file is not at fault.

    `sidecar` is its URI, `cause` the damage and its place.
    """

    outcome = "BadSidecar"

    def __init__(self, file: str, sidecar: str, cause: str) -> None:
        super().__init__(f"{file}: sidecar {sidecar} is damaged: {cause}")
        self.file = file
        self.sidecar = sidecar
        self.cause = cause


class UnsupportedDatagram(ConversionFailure):
    """The file is intact, but has a datagram that the parser does not support.

    `datagram` is its type, None if the parser refused the file without naming one; `detail` is
    the parser's own text, for the report.
    """

    outcome = "UnsupportedDatagram"

    def __init__(
        self, file: str, datagram: str | None, cause: str, *, detail: str | None = None
    ) -> None:
        named = f"datagram {datagram}: " if datagram else ""
        super().__init__(f"{file}: {named}{cause}")
        self.file = file
        self.datagram = datagram
        self.cause = cause
        self.detail = detail


class SourceChanged(ConversionFailure):
    """The source was replaced or removed during the read."""

    outcome = "SourceChanged"

    def __init__(self, file: str, expected: str, found: str) -> None:
        super().__init__(f"{file}: began to read version {expected}, then found {found}")
        self.file = file
        self.expected = expected
        self.found = found


class OutputMismatch(ConversionFailure):
    """The data read back from the output differs from the data encoded."""

    outcome = "OutputMismatch"

    def __init__(self, output: str, cause: str) -> None:
        super().__init__(f"{output}: {cause}")
        self.output = output
        self.cause = cause


class OutputConflict(ConversionFailure):
    """The output was published from another source or version, and may not be replaced."""

    outcome = "OutputConflict"

    def __init__(
        self, output: str, wanted: str, published: str, why: str = "overwrite is off"
    ) -> None:
        super().__init__(
            f"{output}: already published from {published}; {wanted} would replace it and {why}"
        )
        self.output = output
        self.wanted = wanted
        self.published = published
        self.why = why


class InvalidParameters(ConversionFailure, ValueError):  # noqa: N818 - see Outcome
    """The request is invalid: a parameter has an invalid value, or fits no variable."""

    outcome = "InvalidParameters"


class PartlyFailed(ConversionFailure):
    """Some files of a batch failed; `files` has the outcome of each file."""

    outcome = "PartlyFailed"

    def __init__(self, message: str, files: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.files = files


class AllFailed(PartlyFailed):
    """Every file of a batch failed."""

    outcome = "AllFailed"


class TransientFault(Outcome):
    """A temporary fault outside the file. Retried with back-off."""

    outcome = "TransientFault"

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: {cause}")
        self.what = what
        self.cause = cause


class OutputClaimed(TransientFault):
    """Another live run is publishing to the same output."""

    outcome = "OutputClaimed"

    def __init__(self, output: str, owner: str) -> None:
        super().__init__(output, f"is being published by {owner}")
        self.output = output
        self.owner = owner


class ClaimLost(TransientFault):
    """Another run took over the output, because this run did not renew its claim in time."""

    outcome = "ClaimLost"

    def __init__(self, output: str) -> None:
        super().__init__(output, "the claim was taken over by another run")
        self.output = output


class AccessDenied(ConversionFailure):
    """The store refuses access with the given credentials."""

    outcome = "AccessDenied"

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: access denied: {cause}")
        self.what = what
        self.cause = cause


class Archived(ConversionFailure):
    """The file or one of its sidecars is in an archive tier: it must be restored first."""

    outcome = "Archived"

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: must be restored from its archive tier first: {cause}")
        self.what = what
        self.cause = cause


class DiskFault(ConversionFailure):
    """The local disk is full or broken; the file may be intact."""

    outcome = "DiskFault"

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: local disk: {cause}")
        self.what = what
        self.cause = cause


class Superseded(Outcome):
    """A newer upload has replaced the requested version; its own notification converts it.

    This is not a failure: the run ends Completed with the name Skipped.
    """

    outcome = "Superseded"

    def __init__(self, file: str, wanted: str, current: str) -> None:
        super().__init__(
            f"{file}: version {wanted} is superseded by a newer upload ({current}), "
            "which is converted under its own notification"
        )
        self.file = file
        self.wanted = wanted
        self.current = current
