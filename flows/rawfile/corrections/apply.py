"""Applies every correction to the groups of an EchoData, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from flows.rawfile.corrections import raw0
from flows.rawfile.corrections.annotations import add_annotations
from flows.rawfile.corrections.correction import Correction, Groups, Int64s, spread
from flows.rawfile.corrections.environments import (
    correct_environment,
    correct_platform,
    in_another_environment,
)
from flows.rawfile.corrections.facts import SimradFacts
from flows.rawfile.corrections.motion import correct_motion
from flows.rawfile.corrections.ping_values import (
    SOUND_SPEED,
    TRANSDUCER_DEPTH,
    add_ping_values,
    correct_frequencies,
)
from flows.rawfile.corrections.positions import correct_positions
from flows.rawfile.corrections.transmit_pulses import add_pulses
from flows.rawfile.streamed import ping_cells

WATER_LEVEL = "water_level"


@dataclass(frozen=True)
class Corrected:
    """The corrected groups.

    Attributes:
        groups: path -> group, for those that changed.
        corrections: what was corrected.
        missing: a sentence for what the file holds and no group has.
    """

    groups: dict[str, xr.Dataset] = field(default_factory=dict)
    corrections: list[Correction] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def correct(groups: Groups, facts: SimradFacts, keep: Collection[str] = ()) -> Corrected:
    """Correct the groups of an EchoData by the facts of its file.

    Args:
        groups: echopype's groups; they are not changed.
        facts: facts of the file.
        keep: variables of the Platform group that the user has set.
    """
    state = _State(groups, facts, keep)
    state.positions()
    if facts.is_ek60:
        state.names()
        state.raw0()
    else:
        state.parameters()
        state.motion()
        state.environments()
        state.pulses()
    state.annotations()
    return state.done


class _State:
    """The groups as corrected so far."""

    def __init__(self, groups: Groups, facts: SimradFacts, keep: Collection[str]) -> None:
        self.groups = groups
        self.facts = facts
        self.keep = keep
        self.done = Corrected()

    def get(self, path: str) -> xr.Dataset:
        """The group as corrected so far."""
        return self.done.groups.get(path, self.groups[path])

    def take(self, path: str, result: tuple[xr.Dataset, Correction] | None) -> None:
        """Take a corrected group, if there is one."""
        if result is not None:
            self.done.groups[path] = result[0]
            self.done.corrections.append(result[1])

    def note(self, what: str, count: int) -> None:
        """Note a correction, if it has changed a value."""
        if count:
            self.done.corrections.append(Correction(what, count))

    def beams(self) -> Iterator[tuple[str, xr.Dataset, Int64s]]:
        """Path and Dataset of each Beam group, and the number of the ping in each cell."""
        for name in map(str, self.groups["Sonar"]["beam_group"].values):
            path = f"Sonar/{name}"
            group = self.get(path)
            yield (
                path,
                group,
                ping_cells(group, self.facts.index, is_complex="backscatter_i" in group),
            )

    def positions(self) -> None:
        """NMEA sentences that echopype misreads."""
        if "Platform/NMEA" in self.groups:
            nmea = self.groups["Platform/NMEA"]
            platform, done = correct_positions(self.get("Platform"), nmea)
            if done:
                self.done.groups["Platform"] = platform
                self.done.corrections.extend(done)

    def parameters(self) -> None:
        """EK80: frequency, sound speed and transducer depth of each ping."""
        pings = self.facts.pings
        frequencies = speeds = depths = 0
        for path, before, cells in self.beams():
            group, wrong = correct_frequencies(before, cells, pings["start"], pings["stop"])
            frequencies += wrong
            group, count = add_ping_values(group, cells, pings["sound_speed"], SOUND_SPEED)
            speeds += count
            group, count = add_ping_values(group, cells, pings["depth"], TRANSDUCER_DEPTH)
            depths += count
            if group is not before:
                self.done.groups[path] = group
        self.note("pings have the transmitted frequency, not the nominal one", frequencies)
        self.note("pings have the sound speed at the transducer of their parameters", speeds)
        self.note("pings have the transducer depth of their parameters", depths)

    def motion(self) -> None:
        """EK80: MRU1."""
        facts = self.facts
        platform = self.get("Platform")
        corrected = correct_motion(
            platform, facts.motion_times, facts.motion, has_mru0=facts.has_mru0
        )
        self.take("Platform", corrected)

    def environments(self) -> None:
        """EK80: the Environment of each ping."""
        facts = self.facts
        if not facts.environments:
            return
        of_pings = (facts.environments, facts.environment, facts.index.times)
        self.take("Environment", correct_environment(self.get("Environment"), *of_pings))
        if count := in_another_environment(*of_pings):
            self.done.missing.append(
                f"the Environment of {count} pings, which have the time of a ping with another one"
            )
        has_motion = facts.has_mru0 or facts.motion_times.size > 0
        platform = self.get("Platform")
        corrected = correct_platform(platform, *of_pings, has_motion=has_motion, keep=self.keep)
        self.take("Platform", corrected)

    def raw0(self) -> None:
        """EK60: frequency, depth, temperature, heading and motion of each ping and channel."""
        pings = self.facts.pings
        for path, before, cells in self.beams():
            frequency = pings["frequency"]
            group, count = correct_frequencies(before, cells, frequency, frequency)
            self.note("pings have the frequency of their RAW0, not that of the file's start", count)
            group, count = raw0.add_depths(group, cells, pings["depth"])
            self.note("pings have the transducer depth of their RAW0", count)
            if WATER_LEVEL not in self.keep:
                platform = self.get("Platform")
                level = raw0.correct_water_level(platform, group, cells, pings["depth"])
                self.take("Platform", level)
            if pings["heading"].any():
                own = spread(cells, pings["heading"])
                platform = raw0.add_heading(self.get("Platform"), group, own)
                self.done.groups["Platform"] = platform
                self.note("heading of RAW0 is in Platform", int(np.isfinite(own[0]).sum()))
            if pings["temperature"].any():
                own = spread(cells, pings["temperature"])
                environment = raw0.add_temperature(self.get("Environment"), group, own)
                self.done.groups["Environment"] = environment
                self.note("temperature of RAW0 is in Environment", int(np.isfinite(own).sum()))
            group, count = raw0.add_motion_of_channels(group, cells, pings)
            self.note("motion of RAW0 is that of each channel, not of the first alone", count)
            if group is not before:
                self.done.groups[path] = group

    def names(self) -> None:
        """EK60: names of survey and transect."""
        names = {name: text for name, text in self.facts.names.items() if text}
        if names:
            # `combine_echodata` requires equal attributes of Vendor_specific, and one attribute of a
            # name: Top-level has a `survey_name`.
            self.done.groups["Sonar"] = self.get("Sonar").assign_attrs(names)
            self.note("names of survey and transect (CON0) are in Sonar", len(names))

    def pulses(self) -> None:
        """EK80: transmit pulses of complex channels."""
        facts = self.facts
        if not (facts.index.transmit >= 0).any():
            return
        kept = lost = 0
        for path, group, cells in self.beams():
            if "backscatter_i" not in group or "transmit_pulse_r" in group:
                continue
            if facts.pulses is None:
                lost += int(np.count_nonzero(facts.index.transmit[cells[cells >= 0]] >= 0))
                continue
            corrected, count = add_pulses(group, facts.fd, facts.pulses)
            kept += count
            if count:
                self.done.groups[path] = corrected
        self.note("transmit pulses (RAW4) of complex channels are kept", kept)
        if lost:
            self.done.missing.append(
                f"{lost} transmit pulses (RAW4) of complex channels have an unknown layout"
            )

    def annotations(self) -> None:
        """TAG0."""
        facts = self.facts
        self.take("Platform", add_annotations(self.get("Platform"), facts.tag_times, facts.tags))
