"""The rows that EK60's and EK80's formats share.

Sources: Simrad EK80 interface description and ER60 reference manual, "Data formats";
echopype 0.11 `ek_raw_parsers.py`, `parse_base.py` and `set_groups_base.py`.
"""

from __future__ import annotations

from flows.walk.accounts.row import Row, lost, unused

OTHER = "any other"
UNTIMED = "datagram with a time of zero"
MISDATED = "datagram with a time before 1678 or after 2262"

_SIDECAR = "depths and index are taken from a `.bot` or `.idx` only"

SHARED = (
    Row("every datagram", "NT time", "the time coordinate of its variables"),
    Row("NME0", "sentence", "Platform/NMEA: NMEA_datagram, nmea_time"),
    Row("NME0", "GGA, GLL, RMC: position", "Platform: latitude, longitude, sentence_type"),
    Row("NME1", "sentence", "Platform/NMEA: NMEA_datagram, nmea_time"),
    unused("NME1", "port", "it is the name of a port of the sounder's computer"),
    Row("TAG0", "text", "Annotation: annotation_text, time"),
    lost("BOT0", "depth of each channel", _SIDECAR),
    lost("DEP0", "depth, reflectivity of each channel", "echopype has no variable for it"),
    lost("IDX0", "ping number, distance, position, file offset", _SIDECAR),
    lost(UNTIMED, "all", "without a time its content belongs to no ping; echopype skips it"),
    lost(MISDATED, "all", "an output cannot have such a time, and its content belongs to no ping"),
    lost(OTHER, "all", "echopype has no parser for it"),
)
SIDECARS = (
    Row(".bot BOT0", "depth of each channel", "Vendor_specific: detected_seafloor_depth"),
    Row(".idx IDX0", "ping number, file offset", "Platform: ping_number_idx, file_offset_idx"),
    Row(
        ".idx IDX0",
        "distance, position",
        "Platform: vessel_distance_idx, latitude_idx, longitude_idx",
    ),
)
