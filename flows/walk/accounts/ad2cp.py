"""The account of Nortek's AD2CP format.

Sources: Nortek Integrator's Guide, AD2CP, "Data formats"; echopype 0.11 `parse_ad2cp.py`
and `set_groups_ad2cp.py`. A type has the name in `flows.walk.ad2cp`, as in the summary.
"""

from __future__ import annotations

from flows.walk.accounts.row import Row, lost, unused

OTHER = "any other id"
SAME_TIME = "record of the same time as an earlier one"
_TRACK = "echopype has no group for them; the record's other fields are in the output"
_PINGS = "average, burst, echosounder"
_EVERY = "every record but strings"

AD2CP = (
    unused("every record", "header and checksums", "they are checked, and hold no data"),
    lost(
        "string",
        "the text: configuration, clock, events",
        "echopype has no variable for it; it reads only from the first whether pulses are "
        "compressed",
    ),
    Row(_EVERY, "time", "Beam: ping_time"),
    Row(
        _EVERY,
        "version, configuration, status",
        "Vendor_specific: data_record_version, status, status0, error, orientation, "
        "active_configuration",
    ),
    Row(_EVERY, "serial number", "Sonar: sonar_serial_number"),
    Row(
        _EVERY,
        "speed of sound, temperature, pressure",
        "Environment: sound_speed_indicative, temperature, pressure",
    ),
    Row(_EVERY, "heading, pitch, roll", "Platform: heading, pitch, roll"),
    Row(_EVERY, "magnetometer", "Vendor_specific: magnetometer_raw"),
    unused(
        _EVERY,
        "accelerometer, raw",
        "echopype has no variable for it; pitch and roll are computed from it",
    ),
    Row(
        _EVERY,
        "battery voltage, power level, other temperatures",
        "Vendor_specific: battery_voltage, power_level, temperature_of_pressure_sensor, "
        "magnetometer_temperature, real_time_clock_temperature",
    ),
    Row(_EVERY, "ensemble counter", "Vendor_specific: ensemble_counter"),
    Row(
        _EVERY,
        "altimeter and AST",
        "Vendor_specific: altimeter_distance, altimeter_quality, ast_distance, ast_quality, "
        "ast_offset_100us, ast_pressure, altimeter_raw_data_samples",
    ),
    Row(
        _EVERY,
        "AHRS",
        "Vendor_specific: ahrs_rotation_matrix_mij, ahrs_quaternions_wxyz, ahrs_gyro_xyz",
    ),
    Row(
        _EVERY,
        "percentage good, standard deviations, figure of merit",
        "Vendor_specific: percentage_good_data, std_dev_pitch, std_dev_roll, std_dev_heading, "
        "std_dev_pressure, figure_of_merit",
    ),
    Row(
        _PINGS,
        "beams, coordinate system, cells",
        "Beam: number_of_beams, coordinate_system, number_of_cells, cell_size, blanking",
    ),
    Row(
        _PINGS,
        "velocity range, scaling, ambiguity velocity, frequency, transmit energy",
        "Beam: velocity_range, velocity_scaling, ambiguity_velocity, echosounder_frequency, "
        "transmit_energy",
    ),
    Row("average, burst", "velocity", "Beam: velocity"),
    Row(_PINGS, "amplitude, correlation", "Beam: amplitude, correlation"),
    Row("raw echosounder", "complex samples", "Beam: backscatter_r, backscatter_i"),
    Row("raw echosounder transmit", "complex samples", "Beam: transmit_pulse_r, transmit_pulse_i"),
    lost("bottom track", "velocity, distance of each beam", _TRACK),
    lost("interleaved bottom track", "velocity, distance of each beam", _TRACK),
    lost("water track", "velocity, amplitude, correlation", _TRACK),
    lost(
        SAME_TIME,
        "heading, pitch, roll, temperature, pressure and all else in Environment, Platform, "
        "Vendor_specific",
        "echopype has one value for each time, that of the first record",
    ),
    lost(OTHER, "all", "echopype has no parser for it"),
)
