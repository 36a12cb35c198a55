"""Values of an AD2CP's records as the file has them, where echopype has others.

Units as in Nortek's Integrator's Guide (Signature, "Data formats"): the temperature of the
pressure sensor is n / 5 - 4 degrees Celsius, that of the magnetometer n / 1000. echopype
multiplies by 5 and 1000 in the integers of the file, which overflow. Blanking is in cm if a
status bit says so, except for the echosounder's, which is always in mm: recorded files agree
with their own configuration. So do they in the echosounder's frequency, which is in 0.1 kHz:
echopype calls it Hz. Amplitudes are in dB, as the counts have been converted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.rawfile.corrections import Correction
from flows.rawfile.nortek.groups import PING_TIME
from flows.rawfile.nortek.records import RecordRows

Groups = dict[str, xr.Dataset]
_VENDOR = "Vendor_specific"
_TEMPERATURES: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "temperature_of_pressure_sensor": lambda n: n / 5 - 4,
    "magnetometer_temperature": lambda n: n / 1000,
}
_OWN = "pings have the settings of their own record, not those of another record, or 0 cells"
_BLANKING = "blanking in cm is not taken for mm"
_TEMPERATURE = "temperatures of the pressure sensor and the magnetometer do not overflow"
_FREQUENCY = "frequencies of the echosounder are in Hz, not in 0.1 kHz"
_COMPRESSED = "pulses are compressed as the configuration says, not always one of three"
_UNITS = "amplitudes are in dB, not in dB/count"
_ABSENT = "numbers that records do not have, as of an altimeter or AHRS, are NaN, not 0"
KINDS = (_OWN, _BLANKING, _TEMPERATURE, _FREQUENCY, _COMPRESSED, _UNITS, _ABSENT)
_SAMPLES = ("velocity", "amplitude")
# Samples of a raw echosounder.
_RAW = "backscatter_r"
_ECHOGRAMS = (1, 2, 3)


def correct_records(groups: Mapping[str, xr.Dataset]) -> tuple[Groups, list[Correction]]:
    """The groups of an AD2CP file that change, by path, and the corrections.

    Args:
        groups: echopype's groups by path, as `flows.rawfile.nortek.groups` attaches the file's
            records to them; other formats have nothing to correct.
    """
    corrected: Groups = {}
    counts: Counter[str] = Counter()
    for path, group in groups.items():
        changed = _temperatures(group, counts) if path == _VENDOR else {}
        if path.startswith("Sonar/Beam_group"):
            changed = _settings(group, counts)
        own = group.assign(changed)
        changed |= _absent(own, counts)
        if changed:
            corrected[path] = group.assign(changed)
    return corrected, [Correction(what, count) for what, count in counts.items() if count]


def _temperatures(group: xr.Dataset, counts: Counter[str]) -> dict[str, xr.Variable]:
    changed = {}
    for name, convert in _TEMPERATURES.items():
        rows = _rows(group, name)
        if rows is not None:
            values = convert(rows.numbers())
            counts[_TEMPERATURE] += int(np.count_nonzero(~np.isnan(values)))
            changed[name] = _with(group, name, values)
    return changed


def _of_own_record(group: xr.Dataset, samples: RecordRows) -> tuple[dict[str, xr.Variable], int]:
    """Variables that echopype has from another record of the same time, and how many records differ."""
    changed = {}
    wrong = 0
    for name in map(str, group.data_vars):
        rows = _rows(group, name)
        if rows is None or group[name].dims[0] != PING_TIME:
            continue
        own = rows.at(samples.rows)
        # A raw echosounder's records have few settings; the others are those of its ping's echogram.
        lacks = _RAW in group and own.lacking() == len(own.rows)
        if not lacks and not np.array_equal(rows.rows, own.rows):
            wrong = rows.differing(own.rows)
            changed[name] = _with(group, name, own)
    return changed, wrong


def _settings(group: xr.Dataset, counts: Counter[str]) -> dict[str, xr.Variable]:
    samples = next(
        (found for name in (*_SAMPLES, _RAW) if (found := _rows(group, name)) is not None),
        None,
    )
    if samples is None:
        return {}
    changed, wrong = _of_own_record(group, samples)
    cells = samples.numbers("num_echosounder_cells")
    is_echosounder = ~np.isnan(cells)
    if is_echosounder.any():
        # echopype has 0, from a field that these records do not have.
        before = changed.get("number_of_cells", group["number_of_cells"].variable)
        wrong = max(wrong, int(np.count_nonzero(is_echosounder)))
        known = np.where(is_echosounder, cells, before.values).astype(before.dtype)
        changed["number_of_cells"] = _with(group, "number_of_cells", known)
    if "echosounder_frequency" in group and group["echosounder_frequency"].ndim:
        variable = changed.get("echosounder_frequency", group["echosounder_frequency"].variable)
        frequencies = variable.data.numbers() * 100
        counts[_FREQUENCY] += int(np.count_nonzero(~np.isnan(frequencies)))
        changed["echosounder_frequency"] = _with(group, "echosounder_frequency", frequencies)
    is_cm = ~is_echosounder & (samples.numbers("bd_scaling") == 1)
    if is_cm.any() and _RAW not in group:
        blanking = samples.numbers("blanking")
        counts[_BLANKING] += int(np.count_nonzero(is_cm))
        in_metres = np.where(is_cm, blanking / 100, blanking / 1000)
        changed["blanking"] = _with(group, "blanking", in_metres)
    if (amplitude := _rows(group, "amplitude")) is not None:
        counts[_UNITS] += len(amplitude.rows)
        changed["amplitude"] = _with(group, "amplitude", amplitude)
        changed["amplitude"].attrs["units"] = "dB"
    if "pulse_compressed" in group:
        compressed = _pulse_compressed(samples.configuration())
        theirs = group["pulse_compressed"].values
        if not np.array_equal(compressed, theirs, equal_nan=True):
            counts[_COMPRESSED] += int(np.count_nonzero(compressed != theirs))
            changed["pulse_compressed"] = _with(group, "pulse_compressed", compressed)
    counts[_OWN] += wrong
    return changed


def _absent(group: xr.Dataset, counts: Counter[str]) -> dict[str, xr.Variable]:
    """Floats with NaN where a record does not have them, but for velocities and amplitudes."""
    changed = {}
    for name in map(str, group.data_vars):
        rows = None if name in _SAMPLES else _rows(group, name)
        if rows is not None and rows.dtype.kind == "f" and (lacking := rows.lacking()):
            counts[_ABSENT] += lacking
            changed[name] = _with(group, name, rows.at(rows.rows))
            changed[name].data.lack_as_nan()
    return changed


def _pulse_compressed(configuration: str) -> NDArray[np.float64]:
    """For each echogram 1 or 0, NaN if the configuration does not say it.

    echopype has 1 for the first echogram that is compressed alone, and for the third if none is.
    """
    written = dict(re.findall(r"\bPULSECOMP([123])=(\d+)", configuration))
    return np.array(
        [float(int(written[str(n)]) > 0) if str(n) in written else np.nan for n in _ECHOGRAMS]
    )


def _rows(group: xr.Dataset, name: str) -> RecordRows | None:
    data = group[name].variable.data if name in group else None
    return data if isinstance(data, RecordRows) else None


def _with(group: xr.Dataset, name: str, data: Any) -> xr.Variable:  # noqa: ANN401 - an array of any kind
    return xr.Variable(group[name].dims, data, group[name].attrs)
