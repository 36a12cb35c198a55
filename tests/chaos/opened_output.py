"""Opens an output and compares it with the known contents of its raw file."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def differences_from(
    facts: Mapping[str, Any], uri: str, storage_options: Mapping[str, Any]
) -> Iterator[str]:
    """Open a converted file and yield each difference from the facts.

    Args:
        facts: facts that echopype read from the raw file: `groups`, the dimensions
            of `Beam_group1`, `first_ping_time`, `last_ping_time`, `channels`,
            `backscatter_r_nansum`, `latitude_mean`, `longitude_mean`. A missing fact
            or None is unknown.
        uri: the URI of the Zarr store.
        storage_options: fsspec options to read it with.

    Raises:
        OSError, ValueError: the store cannot be opened.
    """
    # The import takes seconds and disables logging below ERROR in the whole process.
    import echopype  # noqa: PLC0415

    opened = echopype.open_converted(uri, storage_options=dict(storage_options))
    found = dict(_facts_of(opened))
    for name, value in facts.items():
        if name in found and value is not None and not _same(value, found[name]):
            yield f"{name} is {found[name]}, but {value} in the file"
    if missing := {"groups", "Beam_group1", "first_ping_time"} - found.keys():
        yield f"the output has no {', '.join(sorted(missing))}"


def _facts_of(opened: Any) -> Iterator[tuple[str, Any]]:
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


def _same(expected: object, found: object) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        both_nan = math.isnan(expected) and math.isnan(found)
        return both_nan or math.isclose(expected, found, rel_tol=1e-9)
    return expected == found
