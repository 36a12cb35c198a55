from __future__ import annotations

import itertools
import json
import struct
from typing import Any

import pytest

from lambda_trigger.clients.flow_runs import RunState
from tests.file_heads import file_head
from tests.unit.trigger.conftest import Trigger, eventbridge

XML = b"<AZFP></AZFP>"
OLD_TIERS = """
[[tier]]
name = "tiny"
cpu = 1024
memory = 2048
ephemeral_storage = 21
up_to_bytes = { EK60 = 1000 }
"""


def only_run(trigger: Trigger) -> Any:
    (run,) = trigger.flow_runs.runs.values()
    return run


def test_an_upload_creates_a_run_with_all_parameters(trigger: Trigger) -> None:
    stored = trigger.storage.put("HB0706/EK60/D2007.raw", file_head("EK60"), version_id="v1")
    assert trigger.notify("HB0706/EK60/D2007.raw") == "Submitted: new"
    run = only_run(trigger)
    assert run.deployment == "convert-raw-sonar/ecs"
    assert run.name == "D2007 · EK60 · HB0706"
    assert run.tags == ["bucket:inbox", "model:EK60", "cruise:HB0706", "tier:standard"]
    assert run.job_variables == {"cpu": 1024, "memory": 4096, "ephemeral_storage": 42}
    assert run.lane == "live"
    assert run.paused is None
    assert run.parameters == {
        "raw_file": "s3://inbox/HB0706/EK60/D2007.raw",
        "sonar_model": "EK60",
        "sonar_model_source": "path",
        "xml_path": None,
        "output_path": "s3://output/HB0706/EK60/D2007.zarr",
        "output_type": "zarr",
        "overwrite": True,
        "source_etag": stored.etag,
        "source_version_id": "v1",
        "sidecar_etags": {},
    }


def test_the_rule_of_the_prefix_sets_deployment_output_and_options(trigger: Trigger) -> None:
    trigger.storage.put("netcdf/a ?#.raw", file_head("EK80"))
    assert trigger.notify("netcdf/a ?#.raw") == "Submitted: new"
    run = only_run(trigger)
    assert (run.deployment, run.job_variables["cpu"]) == ("convert-raw-sonar/netcdf", 2048)
    assert run.parameters["output_path"] == "s3://output/nc/a ?#.nc"
    assert run.parameters["output_type"] == "netcdf"
    assert run.parameters["compact"] is False
    assert run.name == "a ?# · EK80 · netcdf"


def test_model_and_bytes_choose_the_task_size_and_the_prefix_overrides_it(
    trigger: Trigger,
) -> None:
    trigger.rules = trigger.rules.replace("1000", "10_000_000_000").replace(
        "2000", "10_000_000_000"
    )
    trigger.storage.put("standard.raw", file_head("EK60"), size=2_200_000_000)
    trigger.storage.put("netcdf/large.raw", file_head("EK60"), size=2_210_000_000)
    assert trigger.notify("standard.raw") == "Submitted: new"
    assert trigger.lines[-1]["tier"] == "standard"
    assert trigger.notify("netcdf/large.raw") == "Submitted: new"
    assert trigger.lines[-1]["tier"] == "large"
    standard, large = trigger.flow_runs.runs.values()
    assert standard.job_variables == {"cpu": 1024, "memory": 4096, "ephemeral_storage": 42}
    # cpu from the prefix.
    assert large.job_variables == {"cpu": 2048, "memory": 30720, "ephemeral_storage": 200}
    assert ("tier:standard" in standard.tags, "tier:large" in large.tags) == (True, True)


def test_old_rules_choose_no_size_and_warn_once(trigger: Trigger) -> None:
    trigger.rules += OLD_TIERS
    for key in ("a.raw", "b.raw"):
        trigger.storage.put(key, file_head("EK60"))
        trigger.receive(eventbridge({"key": key}))
    warnings = [line for line in trigger.lines if "[[tier]] has no effect" in line["message"]]
    assert [line["level"] for line in warnings] == ["WARNING"]
    assert "job_variables" in warnings[0]["message"]
    assert {run.job_variables["memory"] for run in trigger.flow_runs.runs.values()} == {4096}


def test_five_notifications_of_one_upload_create_one_run(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    outcomes = [trigger.notify("a.raw") for _ in range(5)]
    assert outcomes == ["Submitted: new"] + ["Submitted: existing"] * 4


def test_an_upload_has_one_run_in_any_lane(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    body = eventbridge({"key": "a.raw"})
    body["detail"]["echodrop"] = {"lane": "backfill"}
    trigger.receive(body)
    assert trigger.lines[-1]["message"] == "Submitted: new"
    assert trigger.lines[-1]["lane"] == "backfill"
    assert trigger.notify("a.raw") == "Submitted: existing"
    assert only_run(trigger).lane == "backfill"


def test_data_that_waited_for_a_backfilled_xml_stay_in_its_lane(trigger: Trigger) -> None:
    for number in range(11):
        trigger.storage.put(f"m/{number:02}.01A", file_head("AZFP"))
    trigger.storage.put("m/s.xml", XML)
    body = eventbridge({"key": "m/s.xml"})
    body["detail"]["echodrop"] = {"lane": "backfill"}
    trigger.receive(body)
    assert len(trigger.storage.queued) == 11
    trigger.receive(*trigger.storage.queued)
    assert {run.lane for run in trigger.flow_runs.runs.values()} == {"backfill"}


def test_an_archive_object_is_read_in_place_and_its_output_is_below_the_bucket_name(
    trigger: Trigger,
) -> None:
    trigger.rules = 'archive_buckets = ["archive"]\n' + trigger.rules
    trigger.storage.put("netcdf/a.raw", file_head("EK60"))
    trigger.receive(eventbridge({"key": "netcdf/a.raw"}, bucket="archive"))
    assert trigger.lines[-1]["message"] == "Submitted: new"
    assert set(trigger.storage.asked) == {"GetObject archive"}
    run = only_run(trigger)
    assert run.parameters["raw_file"] == "s3://archive/netcdf/a.raw"
    assert run.parameters["output_path"] == "s3://output/nc/archive/a.nc"
    assert "bucket:archive" in run.tags
    # The same key in the inbox is another file.
    assert trigger.notify("netcdf/a.raw") == "Submitted: new"


def restored(key: str, bucket: str = "inbox") -> dict[str, Any]:
    return eventbridge({"key": key}, bucket) | {"detail-type": "Object Restore Completed"}


def test_a_restored_file_retries_its_archived_run(
    trigger: Trigger,
) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.notify("a.raw")
    (identity,) = trigger.flow_runs.runs
    ended = RunState("a", "FAILED", "Archived", "", "", [], {}, {})
    trigger.flow_runs.states[identity[:8]] = ended
    said = []
    for _ in range(2):
        assert trigger.receive(restored("a.raw")) == {"batchItemFailures": []}
        said.append(trigger.lines[-1]["message"])
    assert said == ["Submitted: restored", "Submitted: existing"]
    assert trigger.flow_runs.updates == [
        "AwaitingRetry: the file was in an archive tier and can be read again"
    ]
    assert len(trigger.flow_runs.runs) == 1


@pytest.mark.parametrize("name", ["Completed", "Skipped", "BadFile", "AccessDenied"])
def test_a_restored_file_does_not_retry_a_run_that_ended_otherwise(
    trigger: Trigger, name: str
) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.notify("a.raw")
    (identity,) = trigger.flow_runs.runs
    trigger.flow_runs.states[identity[:8]] = RunState("a", "", name, "", "", [], {}, {})
    trigger.receive(restored("a.raw"))
    assert trigger.lines[-1]["message"] == "Submitted: existing"
    assert not trigger.flow_runs.updates


def test_a_restored_archive_object_runs_after_the_uploads_of_today(trigger: Trigger) -> None:
    trigger.rules = 'archive_buckets = ["archive"]\n' + trigger.rules
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.receive(restored("a.raw", "archive"), restored("a.raw"))
    assert [run.lane for run in trigger.flow_runs.runs.values()] == ["backfill", "live"]


def test_a_notification_without_version_has_the_same_identity(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"), version_id="v1")
    trigger.notify("a.raw", **{"version-id": "v1"})
    assert trigger.notify("a.raw") == "Submitted: existing"


def test_each_version_deployment_and_generation_has_its_own_run(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"), version_id="v1")
    trigger.notify("a.raw")
    trigger.storage.put("a.raw", file_head("EK60"), version_id="v2")
    assert trigger.notify("a.raw") == "Submitted: new"
    trigger.rules = trigger.rules.replace("convert-raw-sonar/ecs", "convert-raw-sonar/batch")
    assert trigger.notify("a.raw") == "Submitted: new"
    forced = {
        "bucket": {"name": "inbox"},
        "object": {"key": "a.raw"},
        "echodrop": {"generation": 1},
    }
    trigger.receive({"detail-type": "Object Created", "source": "aws.s3", "detail": forced})
    assert trigger.lines[-1]["message"] == "Submitted: new"
    assert trigger.lines[-1]["generation"] == 1


@pytest.mark.parametrize(
    ("stored", "notified", "outcome"),
    [
        (None, {}, "Ignored: superseded"),
        ({"body": file_head("EK60")}, {"etag": "0" * 32}, "Ignored: superseded"),
        (
            {"body": file_head("EK60"), "version_id": "v2"},
            {"version-id": "v1"},
            "Ignored: superseded",
        ),
        ({"body": file_head("EK60"), "version_id": None}, {"version-id": "null"}, "Submitted: new"),
        ({"body": b""}, {}, "Rejected: empty"),
        ({"body": file_head("EK60"), "archived": True}, {}, "Waiting: restore"),
        ({"body": b"PK\x03\x04"}, {}, "Rejected: unknown-content"),
        ({"body": file_head("EK60"), "size": 1001}, {}, "Submitted: paused"),
        ({"body": file_head("EK60"), "size": 1000}, {}, "Submitted: new"),
        ({"body": file_head("EK60"), "size": 2001}, {}, "Rejected: too-large"),
        (
            {"body": file_head("EK60"), "metadata": {"sonar-model": "EK80"}},
            {},
            "Rejected: contradiction",
        ),
        ({"body": file_head("EK60"), "tags": {"sonar-model": "ES70"}}, {}, "Submitted: new"),
        (
            {"body": file_head("EK60"), "tags": {"sonar-model": "EK500"}},
            {},
            "Rejected: unknown-model",
        ),
    ],
)
def test_the_object_itself_decides(
    trigger: Trigger, stored: dict[str, Any] | None, notified: dict[str, Any], outcome: str
) -> None:
    if stored is not None:
        trigger.storage.put("a.raw", **stored)
    assert trigger.notify("a.raw", **notified) == outcome


def test_the_size_of_the_object_counts(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"), size=5000)
    assert trigger.notify("a.raw", size=1) == "Rejected: too-large"
    assert "5000 bytes" in trigger.lines[-1]["detail"]


def test_above_the_soft_limit_a_repeated_notification_finds_the_paused_run(
    trigger: Trigger,
) -> None:
    trigger.storage.put("a.raw", file_head("EK60"), size=1500)
    assert trigger.notify("a.raw") == "Submitted: paused"
    assert "1500 bytes" in str(only_run(trigger).paused)
    assert trigger.notify("a.raw") == "Submitted: existing"


def test_tags_are_only_read_if_the_object_has_some(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.notify("a.raw")
    assert trigger.storage.asked == ["GetObject inbox"]


AZFP = file_head("AZFP")


def test_azfp_data_wait_for_their_xml_and_name_the_folders(trigger: Trigger) -> None:
    trigger.storage.put("m/2015/a.01A", AZFP)
    assert trigger.notify("m/2015/a.01A") == "Waiting: sidecar"
    assert "'m/2015/' or 'm/' or ''" in trigger.lines[-1]["detail"]


@pytest.mark.parametrize("xml", ["m/2015/s.XML", "m/s.xml", "s.xml"])
def test_the_xml_of_the_nearest_folder_upward_is_used(trigger: Trigger, xml: str) -> None:
    trigger.storage.put("m/2015/a.01A", AZFP)
    stored = trigger.storage.put(xml, XML)
    for farther in ("m/s.xml", "s.xml"):
        if len(farther) < len(xml):
            trigger.storage.put(farther, XML)
    trigger.storage.put("other/s.xml", XML)
    trigger.storage.put("m/2015/below/s.xml", XML)
    assert trigger.notify("m/2015/a.01A") == "Submitted: new"
    parameters = only_run(trigger).parameters
    assert parameters["xml_path"] == f"s3://inbox/{xml}"
    assert parameters["sidecar_etags"] == {f"s3://inbox/{xml}": stored.etag}


def test_the_search_ends_at_the_rules_prefix(trigger: Trigger) -> None:
    trigger.storage.put("netcdf/m/a.01A", AZFP)
    trigger.storage.put("s.xml", XML)
    assert trigger.notify("netcdf/m/a.01A") == "Waiting: sidecar"
    assert trigger.notify("s.xml") == "Ignored: sidecar-alone"


def test_several_xmls_in_the_nearest_folder_are_rejected_with_the_list(trigger: Trigger) -> None:
    trigger.storage.put("m/a.01A", AZFP)
    trigger.storage.put("m/one.xml", XML)
    trigger.storage.put("m/two.xml", XML)
    trigger.storage.put("s.xml", XML)
    assert trigger.notify("m/a.01A") == "Rejected: ambiguous-sidecar"
    assert "m/one.xml, m/two.xml" in trigger.lines[-1]["detail"]


def azfp_of(serial: int) -> bytes:
    """The first bytes of data of this instrument: flag, profile number, serial number."""
    return struct.pack(">HHH", 0xFD02, 1, serial) + bytes(118)


def xml_of(serial: int, note: str = "") -> bytes:
    return b"<AZFP><SerialNumber>%d</SerialNumber>%s</AZFP>" % (serial, note.encode())


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.500Z"


@pytest.mark.parametrize("fitting", ["m/one.xml", "m/two.xml"])
def test_of_several_xmls_the_one_of_the_datas_instrument_is_used(
    trigger: Trigger, fitting: str
) -> None:
    for xml in ("m/one.xml", "m/two.xml", "m/three.xml"):
        trigger.storage.put(xml, xml_of(55078 if xml == fitting else 55099, xml))
    trigger.storage.put("m/a.01A", azfp_of(55078))
    trigger.storage.put("m/b.01A", azfp_of(55078) + b"b")
    assert trigger.notify("m/a.01A") == "Submitted: new"
    assert only_run(trigger).parameters["xml_path"] == f"s3://inbox/{fitting}"
    # In one invocation, each XML is read once, whatever the number of data files.
    trigger.storage.asked.clear()
    trigger.receive(*[eventbridge({"key": f"m/{name}.01A"}) for name in "ab"])
    assert trigger.storage.asked.count("GetObject inbox") == 2 + 3


def test_a_single_xml_is_not_read(trigger: Trigger) -> None:
    trigger.storage.put("m/one.xml", xml_of(55099))
    trigger.storage.put("m/a.01A", azfp_of(55078))
    assert trigger.notify("m/a.01A") == "Submitted: new"
    assert trigger.storage.asked == ["GetObject inbox", "ListObjectsV2 inbox"]


@pytest.mark.parametrize(
    ("one", "two"), [(55078, 55078), (55099, 55075)], ids=["both fit", "none fits"]
)
@pytest.mark.parametrize("there", [["m/one.xml"], ["m/one.xml", "m/two.xml"]])
def test_serial_numbers_that_do_not_decide_leave_the_choice_to_the_metadata(
    trigger: Trigger, one: int, two: int, there: list[str]
) -> None:
    for second, xml in enumerate(there):
        trigger.storage.put(xml, xml_of(one if second == 0 else two, xml), last_modified=at(second))
    trigger.storage.put("m/a.01A", azfp_of(55078), last_modified=at(5))
    expected = "Submitted: new" if len(there) == 1 else "Rejected: ambiguous-sidecar"
    assert trigger.notify("m/a.01A") == expected


# What is stored, second by second: the data are submitted as soon as they and an XML are there.
ARRIVALS = [
    (["m/one.xml", "m/a.01A", "m/two.xml"], "m/one.xml"),
    (["m/a.01A", "m/one.xml", "m/two.xml"], "m/one.xml"),
    (["m/a.01A", "m/two.xml", "m/one.xml"], "m/two.xml"),
]


@pytest.mark.parametrize("serials", [(55078, 55078), (55099, 55075)], ids=["both fit", "none fits"])
@pytest.mark.parametrize(("arriving", "used"), ARRIVALS)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late notifications"])
def test_a_second_xml_does_not_reject_what_is_submitted(
    *, trigger: Trigger, serials: tuple[int, int], arriving: list[str], used: str, late: bool
) -> None:
    """Nor is it submitted again, in whatever order and however late the notifications come."""
    xmls = dict(zip(("m/one.xml", "m/two.xml"), serials, strict=True))
    outcomes = []
    for second, key in enumerate(arriving):
        body = xml_of(xmls[key], key) if key in xmls else azfp_of(55078)
        trigger.storage.put(key, body, last_modified=at(second))
        if not late:
            trigger.notify(key)
            outcomes += trigger.lines
    if late:
        for keys in itertools.permutations(arriving):
            for key in keys:
                trigger.notify(key)
                outcomes += trigger.lines
    assert {line["outcome"] for line in outcomes} <= {"Submitted", "Waiting", "Ignored"}
    assert only_run(trigger).parameters["xml_path"] == f"s3://inbox/{used}"


@pytest.mark.parametrize("serials", [(55078, 55078), (55099, 55075)], ids=["both fit", "none fits"])
@pytest.mark.parametrize(("arriving", "used"), ARRIVALS)
def test_a_second_xml_within_the_same_second_does_not_reject_what_is_submitted(
    trigger: Trigger, serials: tuple[int, int], arriving: list[str], used: str
) -> None:
    xmls = dict(zip(("m/one.xml", "m/two.xml"), serials, strict=True))
    for key in arriving:
        body = xml_of(xmls[key], key) if key in xmls else azfp_of(55078)
        trigger.storage.put(key, body, last_modified=at(1))
        trigger.notify(key)
        assert {line["outcome"] for line in trigger.lines} <= {"Submitted", "Waiting", "Ignored"}
    assert only_run(trigger).parameters["xml_path"] == f"s3://inbox/{used}"
    # A forced replay keeps the XML, too.
    forced = eventbridge({"key": "m/a.01A"})
    forced["detail"]["echodrop"] = {"generation": 1}
    trigger.receive(forced)
    assert [run.parameters["xml_path"] for run in trigger.flow_runs.runs.values()] == [
        f"s3://inbox/{used}"
    ] * 2


def test_a_fitting_xml_replaces_one_of_another_instrument(trigger: Trigger) -> None:
    trigger.storage.put("m/other.xml", xml_of(55099))
    trigger.storage.put("m/a.01A", azfp_of(55078))
    assert trigger.notify("m/a.01A") == "Submitted: new"
    trigger.storage.put("m/own.xml", xml_of(55078), last_modified=at(9))
    trigger.notify("m/own.xml")
    assert [run.parameters["xml_path"] for run in trigger.flow_runs.runs.values()] == [
        "s3://inbox/m/other.xml",
        "s3://inbox/m/own.xml",
    ]
    # And the other way round, nothing changes.
    trigger.storage.put("m/third.xml", xml_of(55075), last_modified=at(10))
    trigger.notify("m/third.xml")
    assert len(trigger.flow_runs.runs) == 2
    assert [line["reason"] for line in trigger.lines] == ["existing", "sidecar-used"]


def test_an_archived_xml_decides_nothing(trigger: Trigger) -> None:
    trigger.storage.put("m/one.xml", xml_of(55078), archived=True)
    trigger.storage.put("m/two.xml", xml_of(55078, "two"))
    trigger.storage.put("m/a.01A", azfp_of(55078))
    assert trigger.notify("m/a.01A") == "Submitted: new"
    assert only_run(trigger).parameters["xml_path"] == "s3://inbox/m/two.xml"


@pytest.mark.parametrize("named", ["two.xml", "m/two.xml", "s3://inbox/m/two.xml"])
@pytest.mark.parametrize("where", ["metadata", "tags"])
def test_metadata_or_tags_may_name_the_xml(trigger: Trigger, named: str, where: str) -> None:
    trigger.storage.put("m/a.01A", AZFP, **{where: {"sidecar": named}})
    trigger.storage.put("m/one.xml", XML)
    assert trigger.notify("m/a.01A") == "Waiting: sidecar"
    assert named in trigger.lines[-1]["detail"]
    trigger.storage.put("m/two.xml", XML)
    assert trigger.notify("m/two.xml") == "Ignored: sidecar-used"
    assert only_run(trigger).parameters["xml_path"] == "s3://inbox/m/two.xml"


def test_a_named_xml_farther_up_starts_its_data_too(trigger: Trigger) -> None:
    trigger.storage.put("m/2015/a.01A", AZFP, metadata={"sidecar": "upper.xml"})
    trigger.storage.put("m/2015/near.xml", XML)
    assert trigger.notify("m/2015/a.01A") == "Waiting: sidecar"
    trigger.storage.put("m/upper.xml", XML)
    trigger.notify("m/upper.xml")
    assert only_run(trigger).parameters["xml_path"] == "s3://inbox/m/upper.xml"


def test_an_empty_xml_is_ignored(trigger: Trigger) -> None:
    trigger.storage.put("m/a.01A", AZFP)
    trigger.storage.put("m/s.xml", b"")
    assert trigger.notify("m/a.01A") == "Waiting: sidecar"


def test_corrected_settings_are_a_new_conversion(trigger: Trigger) -> None:
    trigger.storage.put("m/a.01A", AZFP)
    trigger.storage.put("m/s.xml", XML)
    trigger.notify("m/a.01A")
    trigger.notify("m/s.xml")
    assert len(trigger.flow_runs.runs) == 1
    trigger.storage.put("m/s.xml", XML + b"<!-- corrected -->")
    trigger.notify("m/s.xml")
    assert len(trigger.flow_runs.runs) == 2


def test_azfp6_needs_no_xml(trigger: Trigger) -> None:
    trigger.storage.put("m/a.azfp", file_head("AZFP6"))
    assert trigger.notify("m/a.azfp") == "Submitted: new"
    assert only_run(trigger).parameters["xml_path"] is None


SIX_FILES = ["w/a.01A", "w/b.01A", "w/s.xml", "e/a.01A", "e/b.01A", "e/t.xml"]
EXPECTED = {
    "s3://inbox/w/a.01A": "s3://inbox/w/s.xml",
    "s3://inbox/w/b.01A": "s3://inbox/w/s.xml",
    "s3://inbox/e/a.01A": "s3://inbox/e/t.xml",
    "s3://inbox/e/b.01A": "s3://inbox/e/t.xml",
}


def xmls_by_run(trigger: Trigger) -> dict[str, str]:
    runs = trigger.flow_runs.runs.values()
    found = {run.parameters["raw_file"]: run.parameters["xml_path"] for run in runs}
    assert len(found) == len(runs), "an upload has two runs"
    return found


@pytest.mark.slow
def test_data_and_xml_find_each_other_in_every_order() -> None:
    for order in itertools.permutations(SIX_FILES):
        trigger = Trigger()
        for key in order:
            trigger.storage.put(key, XML if key.endswith("xml") else AZFP)
            trigger.notify(key)
        assert xmls_by_run(trigger) == EXPECTED, order


@pytest.mark.slow
def test_data_and_xml_find_each_other_in_any_interleaving() -> None:
    # Uploads in one order, their notifications in another, some while later
    # uploads still follow: each notification is after its own upload.
    for order in itertools.permutations(range(6), 6):
        trigger = Trigger()
        uploaded = 0
        for place in order:
            while uploaded <= place:
                key = SIX_FILES[uploaded]
                trigger.storage.put(key, XML if key.endswith("xml") else AZFP)
                uploaded += 1
            trigger.notify(SIX_FILES[place])
        assert xmls_by_run(trigger) == EXPECTED, order


def test_one_batch_lists_each_folder_once(trigger: Trigger) -> None:
    for key in SIX_FILES:
        trigger.storage.put(key, XML if key.endswith("xml") else AZFP)
    bodies = [
        {
            "detail-type": "Object Created",
            "source": "aws.s3",
            "detail": {"bucket": {"name": "inbox"}, "object": {"key": key}},
        }
        for key in SIX_FILES
    ]
    assert trigger.receive(*bodies) == {"batchItemFailures": []}
    assert xmls_by_run(trigger) == EXPECTED
    # Two folders are searched for their XML, and one listing is made below each of the two XMLs.
    assert trigger.storage.asked.count("ListObjectsV2 inbox") == 4


def test_an_xml_for_many_data_files_queues_them_one_message_each(trigger: Trigger) -> None:
    keys = [f"m/{number:03}.01A" for number in range(25)]
    for key in keys:
        trigger.storage.put(key, AZFP)
    trigger.storage.put("m/s.xml", XML)
    assert trigger.notify("m/s.xml") == "Ignored: sidecar-used"
    assert "25 data files queued" in trigger.lines[-1]["detail"]
    assert trigger.flow_runs.runs == {}
    queued = list(trigger.storage.queued)
    for start in range(0, 25, 10):
        assert trigger.receive(*queued[start : start + 10]) == {"batchItemFailures": []}
    assert sorted(xmls_by_run(trigger)) == [f"s3://inbox/{key}" for key in keys]


def test_the_next_invocation_queues_the_remaining_data(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"m/{number:03}.01A" for number in range(45)]
    for key in keys:
        trigger.storage.put(key, AZFP)
    trigger.storage.put("m/s.xml", XML)
    # There is only time for ten messages, so every invocation passes the rest on.
    monkeypatch.setattr("lambda_trigger.settings_arrival.HAND_OVER_SECONDS", 1000)
    trigger.notify("m/s.xml")
    sent: list[str] = []
    while trigger.storage.queued:
        body = trigger.storage.queued.pop(0)
        key = json.loads(body)["detail"]["object"]["key"]
        assert trigger.receive(body) == {"batchItemFailures": []}
        sent.append(key)
    assert sent.count("m/s.xml") == 4
    assert sorted(xmls_by_run(trigger)) == [f"s3://inbox/{key}" for key in keys]
    assert len(sent) == len(set(sent)) + 3, "a data file was queued twice"


def test_without_a_queue_an_xml_submits_all_data_at_once(trigger: Trigger) -> None:
    for number in range(25):
        trigger.storage.put(f"m/{number:03}.01A", AZFP)
    trigger.storage.put("m/s.xml", XML)
    event = {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"bucket": {"name": "inbox"}, "object": {"key": "m/s.xml"}},
    }
    assert trigger.handle(event) == {"batchItemFailures": []}
    assert len(trigger.flow_runs.runs) == 25


def test_one_failed_data_file_does_not_stop_the_others(trigger: Trigger) -> None:
    for name in "abc":
        trigger.storage.put(f"m/{name}.01A", AZFP)
    trigger.storage.put("m/s.xml", XML)
    trigger.storage.broken_keys.add("m/a.01A")
    body = {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"bucket": {"name": "inbox"}, "object": {"key": "m/s.xml"}},
    }
    assert len(trigger.receive(body)["batchItemFailures"]) == 1
    assert len(trigger.flow_runs.runs) == 2
    assert [line["outcome"] for line in trigger.lines] == ["Submitted", "Submitted", "Retried"]
    trigger.storage.broken_keys.clear()
    assert trigger.receive(json.dumps(body)) == {"batchItemFailures": []}
    assert len(trigger.flow_runs.runs) == 3
