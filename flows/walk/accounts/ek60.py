"""The account of EK60's format (EK60, ES60, ES70).

Sources: ER60 reference manual, "CON0", "RAW0"; echopype 0.11 `SimradConfigParser`,
`SimradRawParser`, `set_groups_ek60.py`.
"""

from __future__ import annotations

from flows.walk.accounts.row import Row, lost, unused
from flows.walk.accounts.simrad import SHARED, SIDECARS

EK60 = (
    Row("CON0", "sounder name, version", "Sonar: sonar_software_name, sonar_software_version"),
    Row(
        "CON0", "survey name, transect name", "Sonar: recorded_survey_name, recorded_transect_name"
    ),
    unused("CON0", "spare bytes", "their content is not documented"),
    Row("CON0", "channel id", "Beam: channel"),
    Row("CON0", "beam type", "Beam: beam_type"),
    Row("CON0", "frequency", "Beam: frequency_nominal"),
    Row("CON0", "gain", "Beam: gain_correction"),
    Row("CON0", "equivalent beam angle", "Beam: equivalent_beam_angle"),
    Row(
        "CON0",
        "beam widths",
        "Beam: beamwidth_twoway_alongship, beamwidth_twoway_athwartship",
    ),
    Row(
        "CON0",
        "angle sensitivities",
        "Beam: angle_sensitivity_alongship, angle_sensitivity_athwartship",
    ),
    Row("CON0", "angle offsets", "Beam: angle_offset_alongship, angle_offset_athwartship"),
    Row(
        "CON0",
        "position of the transducer",
        "Platform: transducer_offset_x, transducer_offset_y, transducer_offset_z",
    ),
    Row(
        "CON0",
        "direction of the transducer",
        "Beam: beam_direction_x, beam_direction_y, beam_direction_z",
    ),
    Row(
        "CON0",
        "tables of pulse length, gain, Sa correction",
        "Vendor_specific: pulse_length, gain_correction, sa_correction",
    ),
    Row("CON0", "software version of the transceiver", "Beam: gpt_software_version"),
    Row("RAW0", "channel", "Beam: channel"),
    Row("RAW0", "mode", "Beam: data_type"),
    Row("RAW0", "transducer depth", "Platform: water_level; Beam: tx_transducer_depth"),
    Row("RAW0", "frequency", "Beam: frequency_nominal, transmit_frequency_start"),
    Row("RAW0", "transmit power", "Beam: transmit_power"),
    Row("RAW0", "pulse length", "Beam: transmit_duration_nominal"),
    Row("RAW0", "bandwidth", "Beam: transmit_bandwidth"),
    Row("RAW0", "sample interval", "Beam: sample_interval"),
    Row("RAW0", "sound velocity", "Environment: sound_speed_indicative"),
    Row("RAW0", "absorption coefficient", "Environment: absorption_indicative"),
    Row("RAW0", "heave, roll, pitch", "Platform: vertical_offset, roll, pitch"),
    Row("RAW0", "temperature", "Environment: temperature"),
    Row("RAW0", "heading", "Platform: heading"),
    Row("RAW0", "transmit mode", "Beam: channel_mode"),
    unused("RAW0", "spare bytes", "their content is not documented"),
    Row("RAW0", "offset", "Beam: sample_time_offset"),
    Row("RAW0", "power", "Beam: backscatter_r"),
    Row("RAW0", "angles", "Beam: angle_athwartship, angle_alongship"),
    lost("FIL1", "all", "EK60's format has no use for it; echopype has no variable for it there"),
    lost("MRU0", "heave, roll, pitch, heading", "echopype reads it only from EK80's format"),
    lost("MRU1", "all", "echopype reads it only from EK80's format"),
    *SHARED,
    *SIDECARS,
)
