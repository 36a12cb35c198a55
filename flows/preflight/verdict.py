"""Whether a file may be converted, by what its walk found."""

from __future__ import annotations

from flows.outcomes import BadFile, UnsupportedDatagram, WrongModel
from flows.preflight.summary import FORMAT_OF_MODEL, FileSummary


def decide(summary: FileSummary, sonar_model: str, allow_partial: bool = False) -> None:  # noqa: FBT001, FBT002 - the flow's parameter of the same name
    """Pass a file that can be converted, name the failure of one that cannot.

    Args:
        summary: What `preflight` found.
        sonar_model: The model that the file is to be converted as.
        allow_partial: Whether what is whole of a damaged file may be converted
            (from what `write_whole_part` writes).

    Raises:
        WrongModel: It is a file of another format.
        BadFile: It is damaged, holds no pings, or is of no known format.
        UnsupportedDatagram: It is whole, but echopype cannot take it.
    """
    declared = FORMAT_OF_MODEL[sonar_model.upper()]
    if summary.found is not None and summary.found != declared:
        raise WrongModel(summary.file, sonar_model.upper(), summary.found)
    if summary.bytes_total == 0 or summary.condition == "not_this_format":
        raise BadFile(summary.file, summary.damage or "no file of a known format")
    damaged = summary.condition in {"truncated", "hole", "joined"}
    if damaged and not (allow_partial and summary.convertible):
        raise BadFile(
            summary.file,
            summary.damage or summary.condition,
            last_good_byte=summary.last_good_byte,
            last_good_ping=summary.last_good_ping,
        )
    refused = summary.unsupported
    if refused is not None and not (allow_partial and refused.removable and summary.convertible):
        raise UnsupportedDatagram(summary.file, refused.datagram, refused.cause)
    if not summary.convertible:
        raise BadFile(summary.file, summary.damage or "no ping in it can be converted")
