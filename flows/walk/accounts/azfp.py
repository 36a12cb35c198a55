"""The accounts of both AZFP formats.

Sources: ASL AZFP operator's manual, "Data file format" (ULS5) and the ULS6 layout as in
echopype 0.11 `parse_azfp.py`, `parse_azfp6.py`, `set_groups_azfp.py`, `set_groups_azfp6.py`.
"""

from __future__ import annotations

from flows.walk.accounts.row import Row, unused

_SHARED = (
    Row("ping", "profile number", "Vendor_specific: profile_number"),
    Row("ping", "serial number", "Sonar: sonar_serial_number"),
    Row("ping", "acquisition status", "Vendor_specific: ping_status"),
    Row("ping", "burst interval", "Vendor_specific: burst_interval"),
    Row("ping", "date and time", "Beam: ping_time"),
    Row("ping", "digitization rate", "Vendor_specific: digitization_rate"),
    Row("ping", "lockout index", "Vendor_specific: lock_out_index"),
    Row("ping", "number of bins", "Vendor_specific: number_of_bins_per_channel"),
    Row("ping", "range samples per bin", "Vendor_specific: number_of_samples_per_average_bin"),
    Row("ping", "pings per profile", "Vendor_specific: ping_per_profile"),
    Row("ping", "averaging of pings", "Vendor_specific: average_pings_flag"),
    Row("ping", "acquired pings", "Vendor_specific: number_of_acquired_pings"),
    Row("ping", "ping period", "Vendor_specific: ping_period"),
    Row("ping", "first ping, last ping", "Vendor_specific: first_ping, last_ping"),
    Row("ping", "data type", "Vendor_specific: data_type"),
    Row("ping", "data error", "Vendor_specific: data_error"),
    Row("ping", "phase", "Vendor_specific: phase"),
    unused("ping", "overrun", "a flag of the instrument's memory; echopype has no variable for it"),
    Row("ping", "number of channels", "Vendor_specific: number_of_channels"),
    Row("ping", "pulse length", "Beam: transmit_duration_nominal"),
    Row("ping", "board number", "Vendor_specific: board_number"),
    Row("ping", "frequency", "Beam: frequency_nominal"),
    Row("ping", "sensor flag", "Vendor_specific: sensors_flag"),
    Row(
        "ping",
        "ancillary: tilt, battery, pressure, temperature",
        "Vendor_specific: ancillary, tilt_x_count, tilt_y_count, battery_main, temperature_counts",
    ),
    Row(
        "ping",
        "tilt and temperature by the settings' factors",
        "Platform: tilt_x, tilt_y; Environment: temperature",
    ),
    Row("ping", "AD channels", "Vendor_specific: ad_channels, battery_tx"),
    Row("ping", "counts", "Beam: backscatter_r"),
)
_SETTINGS = (
    Row("settings", "serial number", "Vendor_specific: XML_sonar_serial_number, serial_number"),
    Row(
        "settings",
        "instrument, program, versions, date",
        "Vendor_specific: instrument_type, minor, major, date, program, cpu, board_version, "
        "file_version, parameter_version, configuration_version",
    ),
    Row(
        "settings",
        "calibration of each channel: DS, EL, TVR, VTX, BP",
        "Vendor_specific: DS, EL, TVR, VTX0, VTX1, VTX2, VTX3; Beam: equivalent_beam_angle",
    ),
    Row(
        "settings",
        "pulse length, gain of each channel",
        "Vendor_specific: XML_transmit_duration_nominal, XML_gain_correction",
    ),
    Row(
        "settings",
        "digitization rate, lockout index of each channel",
        "Vendor_specific: XML_digitization_rate, XML_lockout_index",
    ),
    Row(
        "settings",
        "bursts, pings, averaging",
        "Vendor_specific: XML_burst_interval, number_of_pings_per_burst, "
        "average_burst_pings_flag, number_of_samples_digitized_per_pings, "
        "number_of_digitized_samples_averaged_per_pings",
    ),
    Row(
        "settings",
        "coefficients of temperature and tilt",
        "Vendor_specific: temperature_ka, temperature_kb, temperature_kc, temperature_A, "
        "temperature_B, temperature_C, tilt_X_a, tilt_Y_a",
    ),
    unused(
        "settings",
        "schedule, communication, other phases",
        "they control the instrument and do not describe the pings",
    ),
)
AZFP = (
    Row("ping", "profile flag", "Vendor_specific: profile_flag"),
    Row("ping", "gain", "Beam: gain_correction"),
    Row("ping", "spare channel", "Vendor_specific: spare_channel"),
    *_SHARED,
    *_SETTINGS,
)
AZFP6 = (
    unused("ping", "header bytes, header records", "they describe the layout of the header"),
    Row("ping", "base time, ping period counts", "Vendor_specific: base_time, ping_period_counts"),
    Row("ping", "GPS position", "Platform: latitude, longitude"),
    Row("ping", "GPS date", "Platform: time1"),
    Row("ping", "custom", "Vendor_specific: spare_channel"),
    *_SHARED,
    *_SETTINGS,
)
