"""The account of EK80's format (EK80, ES80, EA640).

Sources: Simrad EK80 interface description, "XML0", "FIL1", "MRU0", "MRU1", "RAW3",
"RAW4"; echopype 0.11 `SimradXMLParser`, `SimradRawParser`, `set_groups_ek80.py`.
"""

from __future__ import annotations

from flows.walk.accounts.row import Row, lost, unused
from flows.walk.accounts.simrad import SHARED, SIDECARS

XML_OTHER = "XML0 of another kind"
ADCP_TYPES = ("pings", "RAW4", "FIL1", "XML0 Parameter")
ADCP_PINGS = "pings of an ADCP (EC150)"
_NO_VARIABLE = "echopype has no variable for it"
SAME_FILTER = "FIL1 in place of another one of its time"
WITHOUT_PING = "RAW4 without a ping"
FILTER_OF_NO_CHANNEL = "FIL1 of a channel that the configuration lacks"
AFTER_ALL_PINGS = "XML0 Environment that no ping follows"
_ADCP = "echopype skips the ADCP of an EK80 system"

EK80 = (
    Row("XML0 Configuration", "the whole text", "Vendor_specific: config_xml"),
    Row(
        "XML0 Configuration",
        "ApplicationName, Version",
        "Sonar: sonar_software_name, sonar_software_version",
    ),
    Row("XML0 Configuration", "ChannelID", "Beam: channel"),
    Row(
        "XML0 Configuration",
        "PulseDuration, Gain, SaCorrection",
        "Vendor_specific: pulse_length, gain_correction, sa_correction",
    ),
    Row(
        "XML0 Configuration",
        "TransducerOffset",
        "Platform: transducer_offset_x, transducer_offset_y, transducer_offset_z",
    ),
    Row(
        "XML0 InitialParameter",
        "all",
        "in the Parameter before each ping, which has the same fields",
    ),
    Row(
        "XML0 Environment",
        "Depth, Acidity, Salinity, Temperature",
        "Environment: depth, acidity, salinity, temperature",
    ),
    Row("XML0 Environment", "SoundSpeed", "Environment: sound_speed_indicative"),
    Row(
        "XML0 Environment",
        "SoundVelocityProfile",
        "Environment: sound_velocity_profile, sound_velocity_profile_depth",
    ),
    Row("XML0 Environment", "SoundVelocitySource", "Environment: sound_velocity_source"),
    Row(
        "XML0 Environment",
        "Transducer",
        "Environment: transducer_name, transducer_sound_speed",
    ),
    Row(
        "XML0 Environment",
        "DropKeelOffset, WaterLevelDraft",
        "Platform: drop_keel_offset, drop_keel_offset_is_manual, water_level, "
        "water_level_draft_is_manual",
    ),
    unused("XML0 Environment", "Latitude", "it is for the computation of absorption only"),
    lost("XML0 Sensor", "all", _NO_VARIABLE),
    Row("XML0 PingSequence", "all", "in the ping times of each channel, which follow it"),
    Row("XML0 Parameter", "ChannelID", "Beam: channel"),
    Row("XML0 Parameter", "ChannelMode", "Beam: channel_mode"),
    Row("XML0 Parameter", "PulseForm", "Beam: transmit_type"),
    Row(
        "XML0 Parameter",
        "Frequency, FrequencyStart, FrequencyEnd",
        "Beam: transmit_frequency_start, transmit_frequency_stop",
    ),
    Row("XML0 Parameter", "PulseDuration", "Beam: transmit_duration_nominal"),
    Row("XML0 Parameter", "SampleInterval", "Beam: sample_interval"),
    Row("XML0 Parameter", "TransmitPower", "Beam: transmit_power"),
    Row("XML0 Parameter", "Slope", "Beam: slope"),
    Row("XML0 Parameter", "SoundVelocity", "Beam: sound_speed_at_transducer"),
    Row("XML0 Parameter", "TransducerDepth", "Beam: tx_transducer_depth"),
    lost(AFTER_ALL_PINGS, "all", "a ping has the Environment that precedes it"),
    unused("XML0 Parameter", "PingId", "it groups the channels of a ping, as their times do"),
    lost("XML0: any other field", "all", _NO_VARIABLE),
    lost(XML_OTHER, "all", _NO_VARIABLE),
    lost("FIL1 of another stage", "all", "echopype stores those of stages 1 and 2"),
    lost(SAME_FILTER, "all", "echopype has one filter for each channel, stage and time: the last"),
    lost(FILTER_OF_NO_CHANNEL, "all", "there are no samples of it"),
    Row("FIL1", "channel id, stage", "Vendor_specific: channel, filter_time"),
    Row(
        "FIL1",
        "coefficients",
        "Vendor_specific: WBT_coeffs_real, WBT_coeffs_imag, PC_coeffs_real, PC_coeffs_imag",
    ),
    Row("FIL1", "decimation factor", "Vendor_specific: WBT_deci_fac, PC_deci_fac"),
    Row("RAW3", "channel id", "Beam: channel"),
    Row("RAW3", "data type", "which of backscatter_r, backscatter_i and the angles there are"),
    Row("RAW3", "offset", "Beam: sample_time_offset"),
    Row("RAW3", "power", "Beam: backscatter_r"),
    Row("RAW3", "angles", "Beam: angle_athwartship, angle_alongship"),
    Row("RAW3", "complex samples", "Beam: backscatter_r, backscatter_i"),
    unused("RAW3", "spare bytes", "their content is not documented"),
    Row("RAW4", "transmit pulse", "Beam: transmit_pulse_r, transmit_pulse_i"),
    lost(WITHOUT_PING, "all", "its channel has another transmit pulse before the next ping"),
    *(lost(f"{type_} of an ADCP (EC150)", "all", _ADCP) for type_ in ADCP_TYPES),
    Row(
        "MRU0",
        "heave, roll, pitch, heading",
        "Platform: vertical_offset, roll, pitch, heading",
    ),
    Row("MRU1", "position", "Platform: latitude_mru1, longitude_mru1"),
    Row(
        "MRU1",
        "heave, roll, pitch, heading, in a file without MRU0",
        "Platform: vertical_offset, roll, pitch, heading",
    ),
    Row(
        "MRU1",
        "heave, roll, pitch, heading, beside MRU0",
        "Platform: vertical_offset_mru1, roll_mru1, pitch_mru1, heading_mru1",
    ),
    lost(
        "MRU1",
        "status, ellipsoid height, rates, velocities, errors, accelerations, delayed heave",
        "echopype has no variables for them",
    ),
    *SHARED,
    *SIDECARS,
)
