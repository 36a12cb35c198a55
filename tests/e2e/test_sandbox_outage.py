"""Real files are converted correctly although Prefect was down when they were uploaded.

Ten files are uploaded while the Prefect server is stopped: six readable real files, two
broken ones and two sample files, one of them with special characters in its key.
The tests check the results after all runs have ended.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.publishing.identity import differences
from sandbox.parts.waiting import wait_until
from sandbox.prefect import prefect_server
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.sea.sample_file import write_sample
from sandbox.system import TRIGGER, Sandbox
from tests.sandbox_inbox import SandboxInbox

pytestmark = pytest.mark.xdist_group("sandbox")

READABLE = {
    "ek60/D20070724-T042400.raw": "EK60",
    "ek80/EK80_-D20221108-T151353.raw": "EK80",
    "ek80/-1519668699940320059.raw": "EK80",
    "ek80/2917763601822576513.raw": "EK80",
    "azfp/15100520-Test.01A": "AZFP",
    "ad2cp/SG198_0099_a.ad2cp": "AD2CP",
}
AZFP_XML = "azfp/15100804.XML"
# The expected outcome, and the cause in its message.
BROKEN = {
    "azfp/15100520-Test-Corrupt.01A": ("BadFile", "2015-13-05"),
    "azfp/15100520-Test-Var_Chans.01A": ("UnsupportedDatagram", "number of bins (837"),
}
SAMPLES = ["samples/sample.raw", "samples/leg 2/50% + ÅÆ#1?.raw"]

FAILED_MESSAGES = re.compile(r"[1-9]\d* failed")

# Times, software and local paths, which differ in every store.
PROVENANCE = {
    "conversion_time",
    "source_filenames",
    "meta_source_filenames",
    "duplicate_ping_times",
}
# What these files hold and echopype drops (docs/corrections.md). All else is as in echopype.
ADDED = {
    "Environment": ["temperature"],
    "Sonar/Beam_group1": ["sound_speed_at_transducer"],
    "Provenance": ["conversion_missing", "conversion_corrections"],
}
# What echopype has otherwise than these files: values, or their units alone. `tests/unit/truth`
# compares them with the bytes.
VALUES = {
    "EK80": {"beam_direction_x", "beam_direction_y", "beam_direction_z"},
    "AD2CP": {"magnetometer_temperature", "temperature_of_pressure_sensor"},
}
UNITS = {"equivalent_beam_angle", "backscatter_r", "backscatter_i", "amplitude"}


@dataclass(frozen=True)
class Outage:
    """The results of the files that were uploaded while Prefect was down."""

    ends: Mapping[str, FlowRunInfo]
    runs: Mapping[str, list[FlowRunInfo]]
    inbox: SandboxInbox


def output_key(key: str) -> str:
    """Return the output key as the rules do: they replace .raw and .ad2cp, and keep AZFP's extensions."""
    stem, dot, extension = key.rpartition(".")
    return f"{stem if extension in {'raw', 'ad2cp'} else stem + dot + extension}.zarr"


@pytest.fixture(scope="module")
def outage(sandbox: Sandbox, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Outage:
    inbox = SandboxInbox(sandbox)
    folder = tmp_path_factory.mktemp("samples")
    log = sandbox.parts[f"{TRIGGER}-1"].log
    keys = [*READABLE, *BROKEN, *SAMPLES]
    sandbox.parts.stop(prefect_server.NAME)
    try:
        for key in (AZFP_XML, *READABLE, *BROKEN):
            inbox.drop(real_data / key, key)
        for number, key in enumerate(SAMPLES):
            inbox.drop(write_sample(folder / "sample.raw", pings=20, seed=number).path, key)
        wait_until(lambda: FAILED_MESSAGES.search(log.read_text()), 60, "the trigger to fail")
    finally:
        sandbox.start_part(prefect_server.NAME)
    ends = inbox.wait_for_ends(keys, within=400)
    return Outage(ends, inbox.runs(keys), inbox)


def test_no_file_is_lost_and_none_is_converted_twice(outage: Outage) -> None:
    assert {key: len(runs) for key, runs in outage.runs.items()} == dict.fromkeys(outage.runs, 1)
    states = {key: run.state_name for key, run in outage.ends.items() if key not in BROKEN}
    assert states == dict.fromkeys([*READABLE, *SAMPLES], "Completed")
    published = [key for key in outage.inbox.outputs() if key.endswith(".manifest.json")]
    wanted = [f"{output_key(key)}.manifest.json" for key in states]
    assert sorted(key for key in published if key in wanted) == sorted(wanted)


@pytest.mark.parametrize(("key", "sonar_model"), READABLE.items(), ids=list(READABLE))
def test_a_real_file_in_s3_equals_what_echopype_reads_in_memory(
    outage: Outage, real_data: Path, key: str, sonar_model: str
) -> None:
    import echopype  # noqa: PLC0415 - takes seconds, and only these tests need it

    from flows.rawfile.azfp.parsers import without_limits  # noqa: PLC0415 - as above

    xml = real_data / AZFP_XML if sonar_model == "AZFP" else None
    # echopype's own parser drops the hundredths of a second of an AZFP's times.
    with without_limits():
        expected = echopype.open_raw(real_data / key, sonar_model=sonar_model, xml_path=xml)
    found = echopype.open_converted(
        outage.inbox.output_uri(output_key(key)),
        storage_options=outage.inbox.storage_options(),
    )
    for group, names in ADDED.items():
        theirs, ours = expected[group], found[group]
        extra = [name for name in names if name not in theirs.variables]
        kept = {name: text for name, text in ours.attrs.items() if name not in names}
        ours = ours.drop_vars(extra, errors="ignore")
        ours.attrs = kept
        found[group] = ours
    found_differences = differences(expected, found)
    assert [
        each
        for each in found_differences
        if not (is_provenance(each) or is_corrected(each, sonar_model))
    ] == []


def is_corrected(difference: Any, sonar_model: str) -> bool:
    if difference.variable in UNITS:
        return difference.what in {"attributes", "attribute units"}
    is_value = " values of a chunk" in difference.what or difference.what == "dtype"
    return is_value and difference.variable in VALUES.get(sonar_model, ())


def is_provenance(difference: Any) -> bool:
    return difference.group == "Provenance" and (
        difference.variable in PROVENANCE
        or any(difference.what == f"attribute {name}" for name in PROVENANCE)
    )


@pytest.mark.parametrize(("key", "outcome"), BROKEN.items(), ids=list(BROKEN))
def test_a_broken_file_fails_with_its_cause_and_leaves_no_output(
    outage: Outage, key: str, outcome: tuple[str, str]
) -> None:
    run, (name, cause) = outage.ends[key], outcome
    assert (run.state_type, run.state_name) == ("FAILED", name)
    assert key in run.message
    assert cause in run.message
    left = outage.inbox.outputs(key)
    assert [name for name in left if not name.endswith(".failure.json")] == []
