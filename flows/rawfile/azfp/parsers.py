"""echopype's AZFP parsers, without the limits at which they fail on whole files or drop values.

A subclass takes the place of each parser while a file is opened. What differs from
echopype 0.11.1: a file may have a single ping, or fewer channels than the instrument; a
transmit pulse whose Sv offset is not in its table gets NaN (the table has some
frequencies and lengths, and no formula); the settings XML may be spelled in any way, and
have the coefficients of one tilt only; times have the hundredths of a second; a ping
may have no position; digitization rates are in Hz, and the settings' `CPU` is kept.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from echopype.convert.parse_azfp import ParseAZFP
from echopype.convert.parse_azfp6 import ParseAZFP6
from echopype.convert.set_groups_azfp import SetGroupsAZFP
from echopype.convert.set_groups_azfp6 import SetGroupsAZFP6
from echopype.core import SONAR_MODELS

from flows.rawfile.azfp.settings import AzfpSettings, read_settings, settings_in
from flows.walk.asl.azfp import CONSTANT
from flows.walk.asl.azfp_pings import time_of

# Fields of a ping's header with a value for each channel, by echopype's names.
_BY_CHANNEL = (
    "dig_rate",
    "lock_out_index",
    "num_bins",
    "range_samples_per_bin",
    "data_type",
    "gain",
    "pulse_len",
    "board_num",
    "frequency",
)
_DATE = ("year", "month", "day", "hour", "minute", "second", "hundredths")
_PLACES = {name: place for name, place, _ in CONSTANT}


def _time_or_nat(written: Sequence[int]) -> np.datetime64:
    try:
        return time_of(written)
    except ValueError:
        return np.datetime64("NaT", "ns")


class _WithoutLimits:
    """Methods of both parsers.

    `unpacked_data` has, by field, a list with the value of each ping; `parameters` are the settings that
    the parser uses, `settings` those in the XML.
    """

    unpacked_data: dict[str, Any]
    parameters: dict[str, Any]
    settings: AzfpSettings
    ping_time: list[np.datetime64]

    def _dates(self) -> Iterable[Sequence[int]]:
        """The date of each ping as in its header."""
        raise NotImplementedError

    def parse_raw(self) -> None:
        """Parse the file."""
        super().parse_raw()  # type: ignore[misc]  # of the parser
        # The instrument's number of channels, for the output.
        self.parameters["num_freq"] = self.settings.parameters["num_freq"]
        # echopype's name of it is CPU, and it looks for cpu.
        self.parameters["cpu"] = self.settings.parameters.get("CPU", [])

    def choose_channels(self, boards: Sequence[float], frequencies: Sequence[float]) -> None:
        """Keep the settings of the channels that the data have.

        The header's values by channel are those of the recorded channels, one after
        another, also if the instrument has more (echopype issue 421).
        """
        places = self.settings.channels(boards, frequencies)
        of_all = self.parameters["num_freq"]
        for name in self.settings.by_channel:
            values = self.parameters[name]
            if len(values) == of_all:
                self.parameters[name] = [values[place] for place in places]
        self.parameters["num_freq"] = len(places)

    def _check_uniqueness(self) -> None:
        """Reduce the fields that are the same in all pings to one value.

        echopype's method does nothing for a single ping, and the parser then fails. So it
        gets such a ping twice. It also drops the dimension of a single channel.
        """
        data = self.unpacked_data
        is_single = len(data["counts"]) == 1
        if is_single:
            twice = {k: v * 2 if isinstance(v, list) else v for k, v in data.items()}
            self.unpacked_data = defaultdict(list, twice)
        super()._check_uniqueness()  # type: ignore[misc]  # of the parser
        if is_single:
            reduced, self.unpacked_data = self.unpacked_data, data
            data.update({k: v for k, v in reduced.items() if not isinstance(v, list)})
        for name in _BY_CHANNEL:
            if name in data:
                data[name] = np.atleast_1d(data[name])

    def _get_ping_time(self) -> None:
        """The times of the pings with their hundredths, which echopype drops."""
        self.ping_time = list(map(time_of, self._dates()))

    @classmethod
    def _calc_Sv_offset(cls, freq: float, pulse_len: float) -> float:  # noqa: N802 - echopype's name
        """The Sv offset in dB, NaN if echopype has none for this frequency (Hz) and length (us)."""
        try:
            return float(super()._calc_Sv_offset(freq, pulse_len))  # type: ignore[misc]  # of the parser
        except ValueError:
            return np.nan


class AzfpParser(_WithoutLimits, ParseAZFP):  # type: ignore[misc]  # echopype ships no types
    """Parses AZFP files of any number of pings and channels."""

    def load_AZFP_xml(self) -> None:  # noqa: N802 - echopype's name
        """Read the settings XML."""
        self.settings = read_settings(Path(self.xml_path))
        self.parameters = defaultdict(list, self.settings.parameters)

    def _split_header(self, raw: Any, header_unpacked: tuple[Any, ...]) -> bool:  # noqa: ANN401 - a file of fsspec
        if not self.unpacked_data:
            number = header_unpacked[_PLACES["number of channels"]]
            boards, frequencies = (
                header_unpacked[place : place + number]
                for place in (_PLACES["board number"], _PLACES["frequency"])
            )
            self.choose_channels(boards, frequencies)
        return bool(super()._split_header(raw, header_unpacked))

    def _dates(self) -> Iterable[Sequence[int]]:
        return zip(*(self.unpacked_data[name] for name in _DATE), strict=True)


class Azfp6Parser(_WithoutLimits, ParseAZFP6):  # type: ignore[misc]  # echopype ships no types
    """Parses AZFP6 files of any number of pings and channels."""

    def load_AZFP_xml(self, raw: Any) -> None:  # noqa: ANN401, N802 - a file of fsspec; echopype's name
        """Read the settings XML in the data file, whose flags the walk has checked."""
        (size,) = struct.unpack("<I", raw.read(4))
        # echopype always uses this encoding.
        self.settings = settings_in(raw.read(size), "iso-8859-5")
        _, self.unpacked_data["num_prev_xml_bytes"] = struct.unpack("<II", raw.read(8))
        phases = range(1, int(self.settings.parameters["num_phases"]) + 1)
        gains = {f"gain_phase{n}": [1] * self.settings.parameters["num_freq"] for n in phases}
        self.settings.by_channel |= gains.keys()
        own = {"phase_number": [str(n) for n in phases], **gains}
        self.parameters = defaultdict(list, {**self.settings.parameters, **own})

    def _split_header(self, raw: Any) -> bool:  # noqa: ANN401 - a file of fsspec
        data = self.unpacked_data
        # echopype compares each header's size with the first one's, but a GPS adds records.
        sizes = data.pop("header_bytes", [])
        if not super()._split_header(raw):
            return False
        sizes.extend(data["header_bytes"])
        data["header_bytes"] = sizes
        for name in _BY_CHANNEL:
            if name in data:
                # Of a single channel, echopype keeps the value without a list.
                data[name][-1] = np.atleast_1d(data[name][-1]).tolist()
        dates, positions = data["gps_date_time"], data["gps_lat_lon"]
        if len(positions) < len(data["frequency"]):
            dates.append([0] * len(_DATE))
            positions.append([0.0, 0.0])
        if not any(positions[-1]):
            # Without a GPS, or before its first fix.
            positions[-1] = [np.nan, np.nan]
        if len(data["frequency"]) == 1:
            self.choose_channels(data["board_num"][0], data["frequency"][0])
        return True

    def _dates(self) -> Iterable[Sequence[int]]:
        dates: Iterable[Sequence[int]] = self.unpacked_data["date"]
        return dates

    def _get_gps_time(self) -> list[Any]:
        """The times of the positions; echopype takes the seconds for microseconds, too.

        Without any position, the result is echopype's. If no position has a date, each has its
        ping's time, not 1970-01-01.
        """
        data = self.unpacked_data
        is_known = ~np.isnan(data["gps_lat_lon"]).any(axis=1)
        if not is_known.any():
            return list(super()._get_gps_time())
        times = np.array([_time_or_nat(written) for written in data["gps_date_time"]])
        if np.isnat(times).all():
            # xarray encodes no times of NaT alone.
            times[is_known] = np.array(self.ping_time)[is_known]
        return list(times)


class _OwnGroups:
    """Methods of both set groupers."""

    parser_obj: Any

    def set_platform(self) -> Any:  # noqa: ANN401 - a dataset
        """The Platform group; a tilt without coefficients is NaN for each ping.

        echopype gives such a tilt one value, which does not fit the other tilt.
        """
        data = self.parser_obj.unpacked_data
        unknown = [name for name in ("tilt_x", "tilt_y") if np.isnan(data[name]).all()]
        if len(unknown) != 1:
            return super().set_platform()  # type: ignore[misc]  # of the set grouper
        (name,) = unknown
        with patch.dict(data, {name: np.zeros(len(data[name]))}):
            platform = super().set_platform()  # type: ignore[misc]  # of the set grouper
        platform[name] = platform[name].copy(data=data[name])
        return platform

    def set_vendor(self) -> Any:  # noqa: ANN401 - a dataset
        """The Vendor_specific group with digitization rates in Hz, as the settings have them; echopype says kHz."""
        vendor = super().set_vendor()  # type: ignore[misc]  # of the set grouper
        for name in ("digitization_rate", "XML_digitization_rate"):
            attrs = vendor[name].attrs
            attrs.update(long_name=attrs["long_name"].replace(" in kHz", ""), units="Hz")
        return vendor


class AzfpGroups(_OwnGroups, SetGroupsAZFP):  # type: ignore[misc]  # echopype ships no types
    """The groups of an AZFP file."""


class Azfp6Groups(_OwnGroups, SetGroupsAZFP6):  # type: ignore[misc]  # echopype ships no types
    """The groups of an AZFP6 file."""


@contextmanager
def without_limits() -> Iterator[None]:
    """Use these classes in `echopype.open_raw`; one thread at a time."""
    with (
        patch.dict(SONAR_MODELS["AZFP"], {"parser": AzfpParser, "set_groups": AzfpGroups}),
        patch.dict(SONAR_MODELS["AZFP6"], {"parser": Azfp6Parser, "set_groups": Azfp6Groups}),
    ):
        yield
