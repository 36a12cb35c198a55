"""What an output opens as, compared with what is known to be in its file."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def differences_from(
    facts: Mapping[str, Any], uri: str, storage_options: Mapping[str, Any]
) -> Iterator[str]:
    """Open a converted file and name each fact that it does not have.

    Args:
        facts: as echopype read them of the raw file: `groups`, the dimensions
            of `Beam_group1`, `first_ping_time`, `last_ping_time`, `channels`,
            `backscatter_r_nansum`, `latitude_mean`, `longitude_mean`; what is None
            or left out is not known.
        uri: of the Zarr store.
        storage_options: to read it with.

    Raises:
        OSError, ValueError: it can't be opened.
    """
    # Takes seconds, and mutes logging below ERROR in this whole process.
    import echopype  # noqa: PLC0415

    opened = echopype.open_converted(uri, storage_options=dict(storage_options))
    found = dict(_facts_of(opened))
    for name, value in facts.items():
        if name in found and value is not None and not _same(value, found[name]):
            yield f"{name} is {found[name]}, where the file has {value}"
    if missing := {"groups", "Beam_group1", "first_ping_time"} - found.keys():
        yield f"nothing is known of its {', '.join(sorted(missing))}"


def _facts_of(opened: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - echopype has no types
    beam = opened["Sonar/Beam_group1"]
    yield "groups", sorted(opened.group_paths)
    yield "Beam_group1", dict(beam.sizes)
    times = beam["ping_time"].values
    yield "first_ping_time", np.datetime_as_string(times[0], unit="ns")
    yield "last_ping_time", np.datetime_as_string(times[-1], unit="ns")
    if "channel" in beam.coords:
        yield "channels", [str(channel) for channel in beam["channel"].values]
    if "backscatter_r" in beam:
        yield "backscatter_r_nansum", float(np.nansum(beam["backscatter_r"].values))
    platform = opened["Platform"]
    for name in ("latitude", "longitude"):
        if name in platform:
            yield f"{name}_mean", float(platform[name].mean())


def _same(wanted: object, found: object) -> bool:
    if isinstance(wanted, float) and isinstance(found, float):
        both_unknown = math.isnan(wanted) and math.isnan(found)
        return both_unknown or math.isclose(wanted, found, rel_tol=1e-9)
    return wanted == found
