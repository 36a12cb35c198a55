"""Corrects an EchoData by what its file holds, or reports what would be corrected."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from flows.publishing.contents import groups_of
from flows.rawfile.corrections import Correction, SimradFacts, correct
from flows.rawfile.samples import PingSamples

if TYPE_CHECKING:
    from echopype.echodata import EchoData


def correct_values(
    echodata: EchoData, facts: SimradFacts | None, *, wanted: bool, keep: Collection[str] = ()
) -> tuple[list[Correction], list[str]]:
    """Correct the values that echopype changes or drops.

    Args:
        echodata: echopype's EchoData; its groups are replaced.
        facts: facts of a Simrad file; None for other formats.
        wanted: False leaves echopype's values, even for samples from the file.
        keep: variables of the Platform group that the user has set.

    Returns:
        The corrections, and a sentence for each loss: without corrections, one for each
        of them.
    """
    zeros = zero_imaginary_parts(echodata)
    found = [Correction("imaginary parts of exactly 0 are 0, not NaN", zeros)] if zeros else []
    missing: list[str] = []
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


def imaginary_parts(echodata: EchoData) -> list[PingSamples]:
    """The imaginary parts of samples that are read from the file."""
    groups = [echodata[f"Sonar/{name}"] for name in echodata["Sonar"]["beam_group"].values]
    found = [
        group[name].variable.data
        for group in groups
        for name in ("backscatter_i", "transmit_pulse_i")
        if name in group
    ]
    return [data for data in found if isinstance(data, PingSamples)]


def zero_imaginary_parts(echodata: EchoData) -> int:
    """How many imaginary parts of samples are exactly 0, for which echopype has NaN."""
    return sum(data.zeros() for data in imaginary_parts(echodata))
