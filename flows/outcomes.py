"""The named ends of a conversion, as exceptions with the facts in them.

A `ConversionFailure` is final: the same bytes would end the same way again, so
it is never retried and its class names the flow run's Failed state. A
`TransientFault` is the world's doing (the store said 503, another run holds
the output) and is retried with back-off. Everything else that escapes is a
defect of echodrop.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar


def _rebuild(cls: type[Outcome], message: str, attributes: dict[str, Any]) -> Outcome:
    error = cls.__new__(cls, message)
    error.__dict__.update(attributes)
    return error


class Outcome(Exception):  # noqa: N818 - outcomes are named as the flow run states they become
    """Base of what ends a step: a sentence for people, attributes for machines.

    `preflight` is set on a failure that came after the walk over the datagrams:
    what that found, JSON values.
    """

    outcome: ClassVar[str]
    preflight: dict[str, Any] | None = None

    def facts(self) -> dict[str, Any]:
        """The attributes as JSON values, with `outcome` and `message`."""
        told = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }
        return {"outcome": self.outcome, "message": str(self), **told}

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which holds the sentence and
        # not the constructor's arguments: it fails in a Dask worker's reply.
        return _rebuild, (type(self), str(self), dict(vars(self)))


class ConversionFailure(Outcome):
    """The file, or what was asked of it, cannot be converted. Never retried."""

    outcome = "ConversionFailure"


class BadFile(ConversionFailure):
    """The raw file is damaged, empty, or not a file of the format it claims.

    `last_good_byte` is the offset behind the last whole datagram,
    `last_good_ping` the time of the last whole ping before the damage.
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
            sentence += f" (whole up to byte {last_good_byte}"
            if last_good_ping is not None:
                sentence += f", last whole ping {last_good_ping.isoformat()}"
            sentence += ")"
        super().__init__(sentence)
        self.file = file
        self.cause = cause
        self.last_good_byte = last_good_byte
        self.last_good_ping = last_good_ping


class WrongModel(ConversionFailure):
    """The file is of another sonar model than the one declared."""

    outcome = "WrongModel"

    def __init__(self, file: str, declared: str, found: str) -> None:
        super().__init__(f"{file}: declared as {declared}, but it is a file of {found}")
        self.file = file
        self.declared = declared
        self.found = found


class MissingSidecar(ConversionFailure):
    """A sidecar that the conversion needs, or was told to use, is not there.

    `sidecar` is its URI, or what it is where no URI was given
    (`settings XML`, `.bot`).
    """

    outcome = "MissingSidecar"

    def __init__(self, file: str, sidecar: str, cause: str = "is not there") -> None:
        super().__init__(f"{file}: sidecar {sidecar} {cause}")
        self.file = file
        self.sidecar = sidecar
        self.cause = cause


class BadSidecar(ConversionFailure):
    """A sidecar is damaged; the raw file is not held responsible.

    `sidecar` is its URI, `cause` what is wrong with it and where.
    """

    outcome = "BadSidecar"

    def __init__(self, file: str, sidecar: str, cause: str) -> None:
        super().__init__(f"{file}: sidecar {sidecar} is damaged: {cause}")
        self.file = file
        self.sidecar = sidecar
        self.cause = cause


class UnsupportedDatagram(ConversionFailure):
    """The file is whole, but holds a datagram that the parser does not know."""

    outcome = "UnsupportedDatagram"

    def __init__(self, file: str, datagram: str, cause: str) -> None:
        super().__init__(f"{file}: datagram {datagram}: {cause}")
        self.file = file
        self.datagram = datagram
        self.cause = cause


class SourceChanged(ConversionFailure):
    """The source was replaced, or went away, while it was being read."""

    outcome = "SourceChanged"

    def __init__(self, file: str, expected: str, found: str) -> None:
        super().__init__(f"{file}: began to read version {expected}, then found {found}")
        self.file = file
        self.expected = expected
        self.found = found


class OutputMismatch(ConversionFailure):
    """What was read back from the output is not what was encoded."""

    outcome = "OutputMismatch"

    def __init__(self, output: str, cause: str) -> None:
        super().__init__(f"{output}: {cause}")
        self.output = output
        self.cause = cause


class OutputConflict(ConversionFailure):
    """The output is published from another source or version, and may not be replaced."""

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
    """What was asked for cannot be: a parameter has no such value, or fits no variable."""

    outcome = "InvalidParameters"


class PartlyFailed(ConversionFailure):
    """Some files of a batch failed; `files` says of each what became of it."""

    outcome = "PartlyFailed"

    def __init__(self, message: str, files: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.files = files


class AllFailed(PartlyFailed):
    """No file of a batch was converted, or needed no conversion."""

    outcome = "AllFailed"


class TransientFault(Outcome):
    """Something outside the file failed in a way that passes. Retried with back-off."""

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
    """Another run took the output over, because this one did not renew its claim in time."""

    outcome = "ClaimLost"

    def __init__(self, output: str) -> None:
        super().__init__(output, "the claim was taken over by another run")
        self.output = output


class AccessDenied(ConversionFailure):
    """The store refuses to be read or written with the credentials at hand."""

    outcome = "AccessDenied"

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: access denied: {cause}")
        self.what = what
        self.cause = cause


class Archived(ConversionFailure):
    """The file, or one that belongs to it, lies in an archive tier: it has to be restored first."""

    outcome = "Archived"

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: has to be restored from its archive tier first: {cause}")
        self.what = what
        self.cause = cause


class DiskFault(ConversionFailure):
    """The local disk is full or broken; that says nothing of the file."""

    outcome = "DiskFault"

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: local disk: {cause}")
        self.what = what
        self.cause = cause


class Superseded(Outcome):
    """A newer upload has replaced the version asked for; its own notification converts it.

    No failure: the run ends Completed, named Skipped.
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
