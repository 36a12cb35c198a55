"""Adds the variables of `.bot` and `.idx` to an EchoData, under echopype's names and attributes.

echopype takes these files only for EK60 and EK80, requires a column for each channel
that pings, and gives the columns to the channels in the order of the alphabet.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from flows.rawfile.corrections import Correction
from flows.rawfile.sidecars.content import SidecarContent, plain

if TYPE_CHECKING:
    from echopype.echodata import EchoData

_ORDER = "detected_seafloor_depth is in the channel of its column, by the configuration's order"


def add_sidecars(echodata: EchoData, sidecars: Sequence[SidecarContent]) -> list[Correction]:
    """Add the depths of a `.bot` to Vendor_specific and the rows of an `.idx` to Platform.

    Returns:
        the manifest's corrections: values that are in another channel than in echopype.
    """
    corrections: list[Correction] = []
    for sidecar in sidecars:
        # echopype leaves the variables out, too, if there is no row.
        if not sidecar.times.size:
            continue
        if sidecar.kind == "idx":
            _add_index(echodata, sidecar)
        elif moved := _add_depths(echodata, sidecar):
            corrections.append(Correction(_ORDER, moved))
    return corrections


def _add_depths(echodata: EchoData, sidecar: SidecarContent) -> int:
    """Add the depths; the number of values that echopype gives to another channel."""
    from echopype.convert.set_groups_base import SetGroupsBase  # noqa: PLC0415 - takes a second

    vendor, values = echodata["Vendor_specific"], sidecar.values
    channels = [plain(str(channel)) for channel in vendor["channel"].values]
    depths = np.full((len(values), len(channels)), np.nan)
    for row, channel in enumerate(channels):
        if channel in sidecar.column_channels:
            depths[:, row] = values[:, sidecar.column_channels.index(channel)]
    parsed = {"depth": depths, "timestamp": sidecar.times}
    group = SimpleNamespace(parser_obj=SimpleNamespace(bot=parsed))
    echodata["Vendor_specific"] = SetGroupsBase._add_seafloor_detection_data_to_vendor_ds(  # noqa: SLF001 - echopype's own names, attributes and encoding
        group, vendor
    )
    if depths.shape != values.shape:
        return 0
    return int(np.count_nonzero((depths != values) & ~(np.isnan(depths) & np.isnan(values))))


def _add_index(echodata: EchoData, sidecar: SidecarContent) -> None:
    from echopype.convert.set_groups_base import SetGroupsBase  # noqa: PLC0415 - see above
    from echopype.utils.coding import set_time_encodings  # noqa: PLC0415 - see above

    values = sidecar.values
    parsed = {
        # The dtype of echopype's Python numbers.
        "ping_number": values["ping_number"].astype(np.int64),
        "file_offset": values["file_offset"].astype(np.int64),
        "vessel_distance": values["distance"].astype(np.float64),
        "latitude": values["latitude"].astype(np.float64),
        "longitude": values["longitude"].astype(np.float64),
        "timestamp": sidecar.times,
    }
    group = SimpleNamespace(parser_obj=SimpleNamespace(idx=parsed))
    platform = SetGroupsBase._add_index_data_to_platform_ds(group, echodata["Platform"])  # noqa: SLF001 - see above
    echodata["Platform"] = set_time_encodings(platform)
