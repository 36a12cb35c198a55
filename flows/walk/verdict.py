"""Decides from the summary whether a file may be converted."""

from __future__ import annotations

from flows.core.outcomes import BadFile, UnsupportedDatagram, WrongModel
from flows.walk.summary import FileSummary
from sonar_models import SONAR_MODELS


def decide(summary: FileSummary, sonar_model: str, allow_partial: bool = False) -> None:  # noqa: FBT001, FBT002 - the flow's parameter of the same name
    """Raise the outcome of a file that cannot be converted.

    Args:
        summary: The summary from `preflight`.
        sonar_model: The model for the conversion.
        allow_partial: Whether the intact part of a damaged file may be converted (see
            `write_whole_part`).

    Raises:
        WrongModel: The file has another format.
        BadFile: It is damaged, has no pings, or has an unknown format.
        UnsupportedDatagram: It is intact, but echopype cannot read it.
    """
    declared = SONAR_MODELS[sonar_model.upper()].format.name
    if summary.found is not None and summary.found != declared:
        raise WrongModel(summary.file, sonar_model.upper(), summary.found)
    if summary.bytes_total == 0 or summary.condition == "not_this_format":
        raise BadFile(summary.file, summary.damage or "the file has an unknown format")
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
        raise BadFile(summary.file, summary.damage or "none of its pings can be converted")
