"""Checks that a settings XML can serve an AZFP's data file, before the file is parsed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from flows.core.outcomes import BadSidecar
from flows.rawfile.azfp.settings import NECESSARY, is_used, read_settings
from flows.stores.download import FetchedFile
from flows.walk.asl.azfp import HEADER_SIZE, read_header


def check_settings(sidecar: FetchedFile, data: Path, source_uri: str) -> None:
    """Read a settings XML alone, as the parser would.

    Args:
        sidecar: the XML.
        data: local copy of the data file, which begins with a whole ping.
        source_uri: URI of the data file.

    Raises:
        BadSidecar: it is broken, has no AZFP settings, or not those of the data's channels.
    """
    uri = sidecar.location.uri
    try:
        settings = read_settings(sidecar.path)
    except (ValueError, ET.ParseError) as error:
        cause = f"echodrop cannot read AZFP settings from it: {type(error).__name__}: {error}"
        raise BadSidecar(source_uri, uri, cause) from error
    if lacking := sorted(NECESSARY - settings.parameters.keys()):
        raise BadSidecar(source_uri, uri, f"it has no {', '.join(lacking)}")
    number = settings.parameters["num_freq"]
    for name in sorted(name for name in settings.by_channel if is_used(name)):
        values = settings.parameters[name]
        if len(values) < number:
            raise BadSidecar(source_uri, uri, f"it has {len(values)} {name} for {number} channels")
    with data.open("rb") as raw:
        ping = read_header(raw.read(HEADER_SIZE))
    if isinstance(ping, str):
        return
    try:
        settings.channels(ping.settings["board number"], ping.settings["frequency"])
    except ValueError as error:
        raise BadSidecar(source_uri, uri, str(error)) from error
