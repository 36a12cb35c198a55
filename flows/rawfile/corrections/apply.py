"""Applies every correction to the groups of an EchoData, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from flows.rawfile.corrections import beams
from flows.rawfile.corrections.correction import Correction, Groups, Int64s, spread
from flows.rawfile.corrections.directions import correct_directions, correct_units
from flows.rawfile.corrections.environments import (
    correct_environment,
    correct_platform,
    in_another_environment,
)
from flows.rawfile.corrections.facts import SimradFacts
from flows.rawfile.corrections.platform import add_annotations, correct_motion, correct_positions
from flows.rawfile.parsed_pings import beam_groups
from flows.rawfile.streamed import ping_cells

WATER_LEVEL = "water_level"


@dataclass(frozen=True)
class Corrected:
    """The groups that changed, what was corrected, and a sentence for what no group has."""

    groups: dict[str, xr.Dataset] = field(default_factory=dict)
    corrections: list[Correction] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def correct(groups: Groups, facts: SimradFacts, keep: Collection[str] = ()) -> Corrected:
    """Correct the groups of an EchoData, which are not changed, by the facts of its file.

    `keep` are variables of the Platform group that the user has set.
    """
    state = _State(groups, facts, keep)
    if "Platform/NMEA" in groups:
        platform, done = correct_positions(state.get("Platform"), groups["Platform/NMEA"])
        if done:
            state.done.groups["Platform"] = platform
            state.done.corrections.extend(done)
    if facts.is_ek60:
        state.names()
    state.ping_values()
    if not facts.is_ek60:
        state.take("Platform", correct_motion(state.get("Platform"), facts))
        state.environments()
        state.pulses()
    state.labels()
    annotated = add_annotations(state.get("Platform"), facts.tag_times, facts.tags)
    state.take("Platform", annotated)
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
        for path in beam_groups(self.groups):
            group = self.get(path)
            is_complex = "backscatter_i" in group
            yield path, group, ping_cells(group, self.facts.index, is_complex=is_complex)

    def ping_values(self) -> None:
        """Frequency, sound speed and transducer depth of each ping; of EK60 all of its RAW0."""
        is_ek60, pings = self.facts.is_ek60, self.facts.pings
        frequencies = speeds = depths = 0
        found = []
        for path, before, cells in self.beams():
            group, wrong = beams.correct_frequencies(before, cells, pings["start"], pings["stop"])
            frequencies += wrong
            speed, depth = pings["sound_speed"], pings["depth"]
            group, count = beams.add_ping_values(group, cells, speed, beams.SOUND_SPEED)
            speeds += count
            # An EK60 without a depth has 0.
            if not is_ek60 or depth.any():
                group, count = beams.add_ping_values(group, cells, depth, beams.TRANSDUCER_DEPTH)
                depths += count
            if group is not before:
                self.done.groups[path] = group
            found.append((path, group, cells))
        if is_ek60:
            own = "pings have the frequency of their RAW0, not that of the file's start"
            self.note(own, frequencies)
            self.note("pings have the transducer depth of their RAW0", depths)
            for path, before, cells in found:
                if (group := self.raw0(before, cells)) is not before:
                    self.done.groups[path] = group
        else:
            own = "pings have the transmitted frequency, not the nominal one"
            self.note(own, frequencies)
            self.note("pings have the sound speed at the transducer of their parameters", speeds)
            self.note("pings have the transducer depth of their parameters", depths)

    def raw0(self, group: xr.Dataset, cells: Int64s) -> xr.Dataset:
        """EK60: temperature, heading and motion of each ping and channel, and the water level."""
        pings = self.facts.pings
        if WATER_LEVEL not in self.keep:
            platform = self.get("Platform")
            level = beams.correct_water_level(platform, group, cells, pings["depth"])
            self.take("Platform", level)
        if pings["heading"].any():
            own = spread(cells, pings["heading"])
            self.done.groups["Platform"] = beams.add_heading(self.get("Platform"), group, own)
            self.note("heading of RAW0 is in Platform", int(np.isfinite(own[0]).sum()))
        if pings["temperature"].any():
            own = spread(cells, pings["temperature"])
            environment = beams.add_temperature(self.get("Environment"), group, own)
            self.done.groups["Environment"] = environment
            self.note("temperature of RAW0 is in Environment", int(np.isfinite(own).sum()))
        group, count = beams.add_motion_of_channels(group, cells, pings)
        self.note("motion of RAW0 is that of each channel, not of the first alone", count)
        return group

    def environments(self) -> None:
        """EK80: the Environment of each ping."""
        facts = self.facts
        if not facts.environments:
            return
        self.take("Environment", correct_environment(self.get("Environment"), facts))
        if count := in_another_environment(facts):
            self.done.missing.append(
                f"the Environment of {count} pings, which have the time of a ping with another one"
            )
        self.take("Platform", correct_platform(self.get("Platform"), facts, self.keep))

    def labels(self) -> None:
        """Directions of an EK80's beams, and units."""
        directions = units = 0
        for path in beam_groups(self.groups):
            group, count = correct_units(self.get(path))
            units += count
            if not self.facts.is_ek60:
                group, count = correct_directions(group)
                directions += count
            self.done.groups[path] = group
        self.note("directions of beams are unit vectors, not angles in degrees", directions)
        self.note("units are dB for equivalent beam angles, and V for complex samples", units)

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
            corrected, count = beams.add_pulses(group, facts.fd, facts.pulses)
            kept += count
            if count:
                self.done.groups[path] = corrected
        self.note("transmit pulses (RAW4) of complex channels are kept", kept)
        if lost:
            self.done.missing.append(
                f"{lost} transmit pulses (RAW4) of complex channels have an unknown layout"
            )
