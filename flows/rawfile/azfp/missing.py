"""What an AZFP's output lacks, and what of its values differs from echopype."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flows.rawfile.azfp.settings import read_settings
from flows.rawfile.corrections import Correction
from flows.stores.download import FetchedFile
from flows.stores.sidecars import FetchedSidecar
from flows.walk.asl.azfp import HEADER_SIZE, read_header
from flows.walk.summary import FileSummary
from sonar_models import (
    AZFP,
    AZFP6,
    HEAD_BYTES,
    SETTINGS_HEAD_BYTES,
    SONAR_MODELS,
    serial_in_bytes,
    serial_in_settings,
)


def missing_of_azfp(
    echodata: Any,  # noqa: ANN401 - echopype ships no types
    data: Path,
    summary: FileSummary,
    sidecars: Sequence[FetchedSidecar],
) -> list[str]:
    """A sentence for each Sv offset, and for settings, that the output lacks; none for other models.

    `data` is the local copy of the data file's whole part; `sidecars` are those that were used.
    """
    if SONAR_MODELS[summary.sonar_model].format not in {AZFP, AZFP6}:
        return []
    xmls = [sidecar.file for sidecar in sidecars if sidecar.kind == "xml"]
    return _offsets(echodata) + [each for xml in xmls for each in _of_settings(xml, data)]


def _offsets(echodata: Any) -> list[str]:  # noqa: ANN401 - echopype ships no types
    """A sentence for each channel of an AZFP whose Sv offset is NaN."""
    vendor, beam = echodata["Vendor_specific"], echodata["Sonar/Beam_group1"]
    return [
        f"the Sv offset of channel {channel} is NaN: echopype has none for "
        f"{beam['frequency_nominal'].values[at] / 1000:g} kHz and a pulse of "
        f"{_microseconds(beam, at):g} microseconds"
        for at, channel in enumerate(vendor["channel"].values)
        if np.isnan(vendor["Sv_offset"].values[at])
    ]


def _microseconds(beam: Any, at: int) -> float:  # noqa: ANN401 - echopype ships no types
    duration = beam["transmit_duration_nominal"].isel(channel=at).values
    return float(np.round(np.ravel(duration)[0] * 1e6, 3))


def _of_settings(xml: FetchedFile, data: Path) -> list[str]:
    """Sentences about settings that the XML lacks, or has of another instrument or channel."""
    with data.open("rb") as raw, xml.path.open("rb") as file:
        head = raw.read(HEAD_BYTES)
        written = serial_in_settings(file.read(SETTINGS_HEAD_BYTES))
    uri, serial = xml.location.uri, serial_in_bytes(head)
    settings, ping = read_settings(xml.path), read_header(head[:HEADER_SIZE])
    sentences = []
    if settings.lacking:
        sentences.append(f"settings that {uri} does not have: {', '.join(settings.lacking)}")
    if None not in {serial, written} and serial != written:
        sentences.append(
            f"settings of the instrument {serial}, which recorded the data: "
            f"{uri} is of instrument {written}, and was used in their place"
        )
    known = settings.parameters.get("kHz", [])
    frequencies = () if isinstance(ping, str) else ping.settings["frequency"]
    if len(known) == len(frequencies):
        sentences += [
            f"settings of {frequency:g} kHz: {uri} has {used:g} kHz there, which was used instead"
            for frequency, used in zip(frequencies, known, strict=True)
            if frequency != used
        ]
    return sentences


def azfp_corrections(echodata: Any, summary: FileSummary) -> list[Correction]:  # noqa: ANN401 - echopype ships no types
    """The corrections of an AZFP's values; none for other models."""
    if SONAR_MODELS[summary.sonar_model].format not in {AZFP, AZFP6}:
        return []
    times = echodata["Sonar/Beam_group1"]["ping_time"].values
    count = int(np.count_nonzero(times != times.astype("datetime64[s]")))
    what = "times of pings have their hundredths of a second"
    # Of a file without any position, echopype has one NaN.
    latitude = echodata["Platform"]["latitude"].values
    lacking = int(np.count_nonzero(np.isnan(latitude))) if latitude.size > 1 else 0
    no_fix = "positions of pings without a fix are NaN, not 0 N 0 E"
    vendor = echodata["Vendor_specific"]
    rates = "digitization rates are in Hz, not kHz"
    found = [
        Correction(what, count),
        Correction(no_fix, lacking),
        Correction(rates, vendor["digitization_rate"].size),
        Correction("the CPU of the settings is kept", int(vendor["cpu"].ndim == 0)),
    ]
    return [correction for correction in found if correction.count]
