"""The named outcomes of a conversion, as exceptions with facts, and what follows from each.

A `ConversionFailure` is final: the same bytes would fail again, so a run never retries it.
A `TransientFault` has an external cause (the store answered 503, another run holds the
output) and is retried with back-off. Any other exception is a bug in echodrop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flows.core.run_ends import Outcome


class ConversionFailure(Outcome):
    """The file cannot be converted, or not in the requested way. A run never retries it."""


class FileFault(ConversionFailure):
    """The file or its uploader is at fault."""

    of_the_file, is_retryable, pages = True, False, False


@dataclass(eq=False, repr=False)
class BadFile(FileFault):
    """The raw file is damaged, empty, or not a file of the format it claims.

    `last_good_byte` is the offset after the last whole datagram, `last_good_ping` the
    time of the last whole ping before the damage.
    """

    converts_partly = True
    remedy = (
        "get an intact copy and upload it under the same key; or convert the intact part: "
        "echodrop convert, or for an upload echodrop replay, with --allow-partial"
    )
    file: str
    cause: str
    last_good_byte: int | None = field(default=None, kw_only=True)
    last_good_ping: datetime | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        intact = ""
        if self.last_good_byte is not None:
            last = f", last whole ping {ping.isoformat()}" if (ping := self.last_good_ping) else ""
            intact = f" (intact up to byte {self.last_good_byte}{last})"
        Exception.__init__(self, f"{self.file}: {self.cause}{intact}")


@dataclass(eq=False, repr=False)
class WrongModel(FileFault):
    """The file has another sonar model than the declared one."""

    sentence = "{file}: declared as {declared}, but the file is from {found}"
    remedy = "correct the declared sonar model (metadata, tag or folder) and upload again"
    file: str
    declared: str
    found: str


@dataclass(eq=False, repr=False)
class MissingSidecar(FileFault):
    """A needed `sidecar` does not exist: its URI, or its kind (`settings XML`, `.bot`)."""

    sentence = "{file}: sidecar {sidecar} {cause}"
    remedy = "upload the sidecar; its arrival starts the conversion"
    file: str
    sidecar: str
    cause: str = "does not exist"


@dataclass(eq=False, repr=False)
class BadSidecar(FileFault):
    """A sidecar is damaged or of another file; the raw file is not at fault.

    `cause` is the damage and its place, or how it differs from the file.
    """

    sentence = "{file}: sidecar {sidecar} {fault}: {cause}"
    converts_partly = True
    remedy = (
        "upload an intact copy of the sidecar, then replay the raw file; or convert "
        "without the damaged data: echodrop convert or replay with --allow-partial"
    )
    file: str
    sidecar: str
    cause: str
    fault: str = "is damaged"


@dataclass(eq=False, repr=False)
class UnsupportedDatagram(FileFault):
    """The file is intact, but has a datagram that the parser does not support.

    `datagram` is its type, None if the parser names none; `detail` is the parser's own text.
    """

    converts_partly = True
    remedy = (
        "convert without the datagram, if the message allows it: "
        "echodrop convert or replay with --allow-partial; report it to echopype's maintainers"
    )
    file: str
    datagram: str | None
    cause: str
    detail: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        named = f"datagram {self.datagram}: " if self.datagram else ""
        Exception.__init__(self, f"{self.file}: {named}{self.cause}")


@dataclass(eq=False, repr=False)
class OutputConflict(FileFault):
    """The output was published from another source or version, and may not be replaced."""

    sentence = "{output}: already published from {published}; {wanted} would replace it and {why}"
    remedy = "two uploads have the same output: rename one of them and upload it again"
    output: str
    wanted: str
    published: str
    why: str = "overwrite is off"


@dataclass(eq=False, repr=False)
class SourceChanged(ConversionFailure):
    """The source was replaced or removed during the read."""

    sentence = "{file}: began to read version {expected}, then found {found}"
    pages = False
    remedy = "nothing: the newer upload has its own run"
    file: str
    expected: str
    found: str


@dataclass(eq=False, repr=False)
class OutputMismatch(ConversionFailure):
    """The data read back from the output differs from the data encoded."""

    sentence = "{output}: {cause}"
    remedy = "retry the run once; if it fails again, keep the file and report a bug"
    output: str
    cause: str


class InvalidParameters(ConversionFailure, ValueError):  # noqa: N818 - see Outcome
    """A parameter of the request has an invalid value, or fits no variable."""

    is_retryable = False
    remedy = "correct the rules document or the call, then replay"


class PartlyFailed(ConversionFailure):
    """Some files of a batch failed; `files` has the outcome of each, which is reported."""

    def __init__(self, message: str, files: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.files = files


class AllFailed(PartlyFailed):
    """Every file of a batch failed."""


@dataclass(eq=False, repr=False)
class AccessDenied(ConversionFailure):
    """The store refuses access with the given credentials, or the bucket does not exist."""

    sentence = "{what}: {fault}: {cause}"
    is_retryable = False
    remedy = "correct the bucket's name, its policy or the task's role, then replay"
    what: str
    cause: str
    fault: str = "access denied"


@dataclass(eq=False, repr=False)
class Archived(ConversionFailure):
    """The file or one of its sidecars is in an archive tier: it must be restored first."""

    sentence = "{what}: must be restored from its archive tier first: {cause}"
    # The notification of its restore starts the run again.
    is_retryable, pages = False, False
    remedy = (
        "restore the object in the message (aws s3api restore-object); a raw file's "
        "run starts again by itself, for other objects replay the raw file"
    )
    what: str
    cause: str


@dataclass(eq=False, repr=False)
class DiskFault(ConversionFailure):
    """The local disk is full or broken; the file may be intact."""

    sentence = "{what}: local disk: {cause}"
    remedy = "give the task more ephemeral storage, or free space on this machine, then replay"
    what: str
    cause: str


@dataclass(eq=False, repr=False)
class TransientFault(Outcome):
    """A temporary fault outside the file. Retried with back-off."""

    sentence = "{what}: {cause}"
    remedy = "replay when the store answers again"
    what: str
    cause: str


class OutputClaimed(TransientFault):
    """Another live run is publishing to the same output."""

    remedy = "replay after the other run of this output has ended"

    def __init__(self, output: str, owner: str) -> None:
        super().__init__(output, f"is being published by {owner}")
        self.output, self.owner = output, owner


class ClaimLost(TransientFault):
    """Another run took over the output, because this run did not renew its claim in time."""

    remedy = OutputClaimed.remedy

    def __init__(self, output: str) -> None:
        super().__init__(output, "the claim was taken over by another run")
        self.output = output


@dataclass(eq=False, repr=False)
class Superseded(Outcome):
    """A newer upload has replaced the requested version; its own notification converts it.

    This is not a failure: the run ends Completed with the name Skipped.
    """

    sentence = (
        "{file}: version {wanted} is superseded by a newer upload ({current}), "
        "which is converted under its own notification"
    )
    file: str
    wanted: str
    current: str
