"""Corrects an EchoData by what its file holds, or reports what would be corrected."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from flows.publishing.contents import groups_of
from flows.rawfile.corrections import Correction, SimradFacts, correct
from flows.rawfile.parsed_pings import beam_groups
from flows.rawfile.samples import PingSamples

if TYPE_CHECKING:
    from echopype.echodata import EchoData

Data = TypeVar("Data")


def correct_values(
    echodata: EchoData, facts: SimradFacts | None, *, wanted: bool, keep: Collection[str] = ()
) -> tuple[list[Correction], list[str]]:
    """Correct the values that echopype changes or drops.

    Without `wanted` echopype's values stay, also for samples from the file. `keep` are variables of
    the Platform group that the user has set.

    Returns the corrections, and a sentence for each loss: without corrections, one for each of them.
    """
    zeros = sum(data.zeros() for data in imaginary_parts(echodata))
    found = [Correction("imaginary parts of exactly 0 are 0, not NaN", zeros)] if zeros else []
    of_records, missing = _correct_records(echodata, wanted=wanted)
    found += of_records
    corrected = {}
    if facts is not None:
        done = correct(groups_of(echodata), facts, keep)
        found += done.corrections
        missing += done.missing
        corrected = done.groups
    if wanted:
        for path, group in corrected.items():
            echodata[path] = group
        return found, missing
    for data in imaginary_parts(echodata):
        data.zeros_as_nan()
    return [], [*missing, *(f"not corrected: {correction}" for correction in found)]


def _correct_records(echodata: EchoData, *, wanted: bool) -> tuple[list[Correction], list[str]]:
    """The same for the records of an AD2CP; nothing for other models."""
    if not _of_beams(echodata, object, "velocity", "amplitude", "num_complex_samples"):
        return [], []
    # They import echopype's modules.
    from flows.rawfile.nortek.records import RecordRows  # noqa: PLC0415
    from flows.rawfile.nortek.values import KINDS, correct_records  # noqa: PLC0415

    of_records = _of_beams(echodata, RecordRows, "velocity", "amplitude")
    corrected, found = correct_records(groups_of(echodata))
    if lacking := sum(data.lacking() for data in of_records):
        what = "velocities and amplitudes of beams and cells that pings do not have are NaN, not 0"
        found.append(Correction(what, lacking))
    if wanted:
        for path, group in corrected.items():
            echodata[path] = group
        for rows in of_records:
            rows.lack_as_nan()
    missing = other_beams(echodata)
    if not _of_beams(echodata, RecordRows, "velocity", "amplitude", "num_complex_samples"):
        missing.append(f"not corrected, as echopype has read all: {', '.join(KINDS)}")
    return found, missing


def imaginary_parts(echodata: EchoData) -> list[PingSamples]:
    """The imaginary parts of samples that are read from the file."""
    return _of_beams(echodata, PingSamples, "backscatter_i", "transmit_pulse_i")


def other_beams(echodata: EchoData) -> list[str]:
    """A sentence for each group of an AD2CP with pings of other beams than its coordinate says.

    echopype puts the velocities of the fifth beam, which pings in turn with the others,
    in the place of the first. `data_set_description` has four bits for each beam of a ping.
    """
    sentences = []
    for path, group in beam_groups(echodata).items():
        if not {"beam", "data_set_description", "velocity"} <= set(group.variables):
            continue
        known = list(map(str, group["beam"].values))
        described, counts = np.unique(group["data_set_description"].values, return_counts=True)
        beams = [
            [str(d >> 4 * n & 15) for n in range(4) if d >> 4 * n] for d in map(int, described)
        ]
        other = sum(
            count
            for own, count in zip(beams, counts.tolist(), strict=True)
            if own != known[: len(own)]
        )
        if other:
            sentences.append(
                f"the beams of {other} pings of {path.removeprefix('Sonar/')}: their samples are at the first beams, and "
                "data_set_description has their numbers"
            )
    return sentences


def _of_beams(echodata: EchoData, kind: type[Data], *names: str) -> list[Data]:
    """The data of this class of these variables of all Beam groups."""
    groups = beam_groups(echodata).values()
    found = [group[name].variable.data for group in groups for name in names if name in group]
    return [data for data in found if isinstance(data, kind)]
