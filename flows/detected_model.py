"""The sonar model of a file that was given without one."""

from __future__ import annotations

import re
from typing import Any

from flows.core.locations import parse_location
from flows.core.outcomes import BadFile, InvalidParameters
from flows.stores.sources import first_bytes
from sonar_models import FORMATS, HEAD_BYTES, model_in_bytes

_BESIDE = re.compile(r"\.(bot|idx|xml)$", re.IGNORECASE)


def is_sidecar(name: str) -> bool:
    """Whether a file of this name lies beside a raw file: `.bot`, `.idx` or a settings XML."""
    return _BESIDE.search(name) is not None


def detected_model(raw_file: str, options: dict[str, Any]) -> str:
    """Detect the sonar model from the first bytes of a path, `s3://bucket/key` or http(s) URL, as the trigger does.

    Raises:
        BadFile: the file does not exist, or no known sonar wrote it.
        InvalidParameters: it is a sidecar, or the location is invalid.
        ConversionFailure, TransientFault: the store's answer.
    """
    try:
        location = parse_location(raw_file)
    except ValueError as error:
        raise InvalidParameters(str(error)) from error
    if is_sidecar(location.name):
        raise InvalidParameters(
            f"{location.uri}: is a sidecar, not a raw file: give the raw file that it belongs to; "
            ".bot and .idx beside it are taken with it"
        )
    try:
        head = first_bytes(location, HEAD_BYTES, options)
    except FileNotFoundError as error:
        raise BadFile(location.uri, "the file does not exist") from error
    found = model_in_bytes(head)
    if found is None:
        formats = ", ".join(each.name for each in FORMATS)
        cause = f"its first bytes match no known sonar ({formats})" if head else "the file is empty"
        raise BadFile(location.uri, cause)
    return found.name
