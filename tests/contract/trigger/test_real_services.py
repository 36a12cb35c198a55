"""The built trigger, the real runtime client, moto and a real Prefect server, together."""

from __future__ import annotations

import hashlib
import json
import struct
import time
from typing import Any

import pytest

from events.notifications import NotifiedObject
from events.replay import INBOX
from tests.contract.conftest import ApiCall
from tests.contract.trigger.conftest import REGION, Function, rules
from tests.envelopes import ENVELOPES
from tests.event_fixtures import FIXTURES, OUTPUT, load_fixture
from tests.file_heads import file_head

# moto names the versions itself.
VERSIONED = {path.stem for path in FIXTURES.glob("*.json") if "version_id" in path.read_text()}


def body_of(
    function: Function, key: str, content: bytes, envelope: str = "eventbridge", **facts: Any
) -> str:
    stored = {"bucket": function.inbox} | facts
    function.s3.put_object(Bucket=stored["bucket"], Key=key, Body=content)
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    item = NotifiedObject(key=key, size=len(content), etag=etag, **stored)
    return ENVELOPES[envelope](item)


def clear(function: Function) -> None:
    listed = function.s3.list_objects_v2(Bucket=function.inbox).get("Contents", [])
    for item in listed:
        function.s3.delete_object(Bucket=function.inbox, Key=item["Key"])


def test_every_fixture_has_the_same_outcome_with_real_services(
    trigger: Function, prefect_api: ApiCall
) -> None:
    seen = 0
    for path in sorted(FIXTURES.glob("*.json")):
        if path.stem in VERSIONED:
            continue
        fixture = load_fixture(path, trigger.inbox)
        clear(trigger)
        trigger.put(fixture)
        answer = trigger.send(fixture.body.replace(OUTPUT, trigger.output))
        assert answer.result == {"batchItemFailures": []}, (path.stem, answer.error)
        lines = trigger.lines()[seen:]
        seen += len(lines)
        found = [(line.get("key"), line["outcome"], line["reason"]) for line in lines]
        # Several fixtures are about the same upload, which has its run by then.
        wanted = [
            (
                item.key,
                item.outcome,
                found[index][2]
                if (found[index][2], item.reason) == ("existing", "new")
                else item.reason,
            )
            for index, item in enumerate(fixture.expected)
        ]
        assert found == wanted, path.stem
        for line, item in zip(lines, fixture.expected, strict=True):
            if item.outcome == "Submitted" and line["reason"] != "existing":
                run = prefect_api("GET", f"/flow_runs/{line['flow_run_id']}")
                expected = {
                    name: text.replace(OUTPUT, trigger.output) if isinstance(text, str) else text
                    for name, text in item.parameters.items()
                }
                assert expected.items() <= run["parameters"].items(), path.stem
                assert run["name"] == line["flow_run_name"]


def test_one_upload_in_all_envelopes_has_one_run(trigger: Function, prefect_api: ApiCall) -> None:
    content = file_head("EK60")
    key = "HB0706/EK60/ä b+c%2F?#.raw"
    bodies = [
        body_of(trigger, key, content, envelope)
        for envelope in ("s3", "eventbridge", "sns-s3", "sns-eventbridge")
    ]
    assert trigger.send(*bodies, bodies[0]).result == {"batchItemFailures": []}
    lines = trigger.lines()
    assert [line["reason"] for line in lines] == ["new"] + ["existing"] * 4
    assert len({line["flow_run_id"] for line in lines}) == 1
    run = prefect_api("GET", f"/flow_runs/{lines[0]['flow_run_id']}")
    assert run["name"] == "ä b+c%2F?# · EK60 · HB0706"
    assert set(run["tags"]) == {
        f"bucket:{trigger.inbox}",
        "model:EK60",
        "tier:standard",
        "cruise:HB0706",
    }
    assert run["parameters"]["raw_file"] == f"s3://{trigger.inbox}/{key}"
    assert run["state"]["type"] == "SCHEDULED"
    assert run["work_pool_name"] == "echodrop"


@pytest.mark.parametrize("first", ["live", "backfill"])
def test_the_run_waits_in_the_work_queue_of_its_lane_and_is_the_same_in_both(
    trigger: Function, prefect_api: ApiCall, first: str
) -> None:
    other = {"live": "backfill", "backfill": "live"}[first]
    key = f"HB0706/EK60/{first}.raw"
    bodies = [body_of(trigger, key, file_head("EK60"), lane=lane) for lane in (first, other)]
    assert trigger.send(*bodies).result == {"batchItemFailures": []}
    lines = trigger.lines()
    assert [(line["lane"], line["reason"]) for line in lines] == [
        (first, "new"),
        (other, "existing"),
    ]
    assert len({line["flow_run_id"] for line in lines}) == 1
    run = prefect_api("GET", f"/flow_runs/{lines[0]['flow_run_id']}")
    assert (run["work_pool_name"], run["work_queue_name"]) == ("echodrop", first)
    # As the worker asks: by queue, and the run is only in its own.
    for lane, has_it in ((first, True), (other, False)):
        asked = {"work_queue_names": [lane], "scheduled_before": "2999-01-01T00:00:00Z"}
        waiting = prefect_api("POST", "/work_pools/echodrop/get_scheduled_flow_runs", asked)
        assert (run["id"] in {item["flow_run"]["id"] for item in waiting}) is has_it


def test_an_archives_file_is_read_in_place(trigger: Function, prefect_api: ApiCall) -> None:
    archive = f"archive-{trigger.inbox}"
    location = {"LocationConstraint": REGION}
    trigger.s3.create_bucket(Bucket=archive, CreateBucketConfiguration=location)
    body = body_of(trigger, "old/a.raw", file_head("EK60"), bucket=archive, lane="backfill")
    trigger.ssm.put_parameter(
        Name=trigger.rules_parameter,
        Value=f'archive_buckets = ["{archive}"]\n' + rules(trigger.inbox, trigger.output),
        Overwrite=True,
    )
    trigger.send(body)
    (line,) = trigger.lines()
    assert (line["reason"], line["bucket"]) == ("new", archive)
    parameters = prefect_api("GET", f"/flow_runs/{line['flow_run_id']}")["parameters"]
    assert parameters["raw_file"] == f"s3://{archive}/old/a.raw"
    assert parameters["output_path"] == f"s3://{trigger.output}/{archive}/old/a.zarr"


def test_a_notification_from_a_listing_finds_the_run_of_the_version(trigger: Function) -> None:
    trigger.s3.put_bucket_versioning(
        Bucket=trigger.inbox, VersioningConfiguration={"Status": "Enabled"}
    )
    content = file_head("EK60")
    stored = trigger.s3.put_object(Bucket=trigger.inbox, Key="a.raw", Body=content)
    etag = stored["ETag"].strip('"')
    full = NotifiedObject(trigger.inbox, "a.raw", len(content), etag, stored["VersionId"])
    listed = NotifiedObject(trigger.inbox, "a.raw", len(content), etag)
    older = NotifiedObject(trigger.inbox, "a.raw", len(content), etag, "older")
    trigger.send(*map(ENVELOPES["eventbridge"], (full, listed, older)))
    assert [line["reason"] for line in trigger.lines()] == ["new", "existing", "superseded"]
    assert trigger.lines()[0]["version_id"] == stored["VersionId"]


def test_a_paused_run_is_scheduled_when_an_operator_resumes_it(
    trigger: Function, prefect_api: ApiCall
) -> None:
    body = body_of(trigger, "large.raw", file_head("EK60").ljust(150_000, b"\0"))
    trigger.send(body)
    (line,) = trigger.lines()
    assert line["reason"] == "paused"
    path = f"/flow_runs/{line['flow_run_id']}"
    state = prefect_api("GET", path)["state"]
    assert (state["type"], state["name"]) == ("PAUSED", "Paused")
    assert "150000 bytes" in state["message"]
    scheduled = {"worker_ids": [], "scheduled_before": "2999-01-01T00:00:00Z"}
    waiting = prefect_api("POST", "/work_pools/echodrop/get_scheduled_flow_runs", scheduled)
    assert line["flow_run_id"] not in {item["flow_run"]["id"] for item in waiting}
    # The request of the button in the UI.
    answer = prefect_api("POST", f"{path}/resume", {})
    assert answer["status"] == "ACCEPT"
    assert prefect_api("GET", path)["state"]["type"] == "SCHEDULED"
    waiting = prefect_api("POST", "/work_pools/echodrop/get_scheduled_flow_runs", scheduled)
    assert line["flow_run_id"] in {item["flow_run"]["id"] for item in waiting}
    trigger.send(body)
    assert trigger.lines()[-1]["reason"] == "existing"


def test_data_that_a_settings_xml_queued_are_submitted(trigger: Function) -> None:
    queue_url = trigger.sqs.create_queue(QueueName=trigger.inbox)["QueueUrl"]
    arn = trigger.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    for number in range(12):
        content = file_head("AZFP") + bytes([number])
        trigger.s3.put_object(Bucket=trigger.inbox, Key=f"m ä/{number:02}.01A", Body=content)
    body = body_of(trigger, "m ä/s.xml", b"<AZFP/>")
    answer = trigger.send(body, queue_arn=arn["Attributes"]["QueueArn"])
    assert answer.result == {"batchItemFailures": []}
    queued: list[str] = []
    while messages := trigger.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get(
        "Messages", []
    ):
        queued += [message["Body"] for message in messages]
        for message in messages:
            trigger.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    assert len(queued) == 12
    assert trigger.send(*queued).result == {"batchItemFailures": []}
    submitted = [line for line in trigger.lines() if line["outcome"] == "Submitted"]
    assert {line["key"] for line in submitted} == {f"m ä/{number:02}.01A" for number in range(12)}


def test_the_xml_of_the_datas_instrument_is_found_and_a_later_one_changes_nothing(
    trigger: Function,
) -> None:
    def xml_of(serial: int) -> bytes:
        return b"<AZFP>\n <SerialNumber>%d</SerialNumber>\n</AZFP>" % serial

    data = struct.pack(">HHH", 0xFD02, 1, 55078) + bytes(118)
    for name, serial in (("one", 55075), ("two", 55078)):
        body_of(trigger, f"several/{name}.xml", xml_of(serial))
    assert trigger.send(body_of(trigger, "several/a.01A", data)).result == {"batchItemFailures": []}
    (line,) = trigger.lines()
    assert (line["outcome"], line["reason"]) == ("Submitted", "new")
    later = body_of(trigger, "several/three.xml", xml_of(55099))
    assert trigger.send(later).result == {"batchItemFailures": []}
    found = {line["key"]: line["reason"] for line in trigger.lines()}
    assert found["several/a.01A"] == "existing"


def test_an_upload_is_returned_until_its_deployment_exists(
    trigger: Function, prefect_api: ApiCall
) -> None:
    flow = prefect_api("POST", "/flows/", {"name": "convert-raw-sonar"})
    name = f"later-{trigger.inbox}"
    trigger.ssm.put_parameter(
        Name=trigger.rules_parameter,
        Value=rules(trigger.inbox, trigger.output, f"convert-raw-sonar/{name}"),
        Overwrite=True,
    )
    body = body_of(trigger, "a.raw", file_head("EK60"))
    assert trigger.send(body).result == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert trigger.lines()[-1]["reason"] == "missing"
    made = {"name": name, "flow_id": flow["id"], "work_pool_name": "echodrop"}
    prefect_api("POST", "/deployments/", made)
    assert trigger.send(body).result == {"batchItemFailures": []}


def test_wrong_parameters_lose_no_upload(trigger: Function, prefect_api: ApiCall) -> None:
    flow = prefect_api("POST", "/flows/", {"name": "convert-raw-sonar"})
    name = f"strict-{trigger.inbox}"
    schema = {"type": "object", "properties": {"overwrite": {"type": "string"}}}
    prefect_api(
        "POST",
        "/deployments/",
        {
            "name": name,
            "flow_id": flow["id"],
            "work_pool_name": "echodrop",
            "parameter_openapi_schema": schema,
            "enforce_parameter_schema": True,
        },
    )
    trigger.ssm.put_parameter(
        Name=trigger.rules_parameter,
        Value=rules(trigger.inbox, trigger.output, f"convert-raw-sonar/{name}"),
        Overwrite=True,
    )
    body = body_of(trigger, "a.raw", file_head("EK60"))
    assert trigger.send(body).result == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    line = trigger.lines()[-1]
    assert (line["reason"], line["status"]) == ("refused", 409)


def test_wrong_rules_fail_the_invocation_with_their_line(trigger: Function) -> None:
    text = rules(trigger.inbox, trigger.output).replace("100_000", "plenty")
    trigger.ssm.put_parameter(Name=trigger.rules_parameter, Value=text, Overwrite=True)
    answer = trigger.send(body_of(trigger, "a.raw", file_head("EK60")))
    assert answer.error is not None
    assert "line 6" in answer.error["errorMessage"]


def test_a_missing_bucket_is_not_a_superseded_upload(trigger: Function) -> None:
    body = body_of(trigger, "a.raw", file_head("EK60"))
    clear(trigger)
    trigger.s3.delete_bucket(Bucket=trigger.inbox)
    assert trigger.send(body).result == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert trigger.lines()[-1]["reason"] == "missing"


def test_a_prefect_outage_returns_uploads_before_the_deadline(start_trigger: Any) -> None:
    function: Function = start_trigger("http://127.0.0.1:9/api", secret={"api_key": "x"})
    body = body_of(function, "a.raw", file_head("EK60"))
    started = time.monotonic()
    answer = function.send(body, json.dumps({"Event": "s3:TestEvent"}))
    assert answer.result == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert time.monotonic() - started < 30
    assert [line["reason"] for line in function.lines()] == ["unavailable", "test-event"]


@pytest.mark.parametrize("secret", [{"api_key": "pnu_123"}, {"auth_string": "admin:pass"}])
def test_the_secret_comes_from_secrets_manager(
    start_trigger: Any, prefect_api_url: str, deployment: str, secret: dict[str, str]
) -> None:
    function: Function = start_trigger(prefect_api_url, secret=secret)
    function.send(body_of(function, "a.raw", file_head("EK60")))
    assert function.lines()[-1]["reason"] == "new"
    assert all(text not in function.log.read_text() for text in secret.values())


def test_the_log_has_the_trace_and_the_cold_start(trigger: Function) -> None:
    trigger.send("not a notification")
    trigger.send("nor is this")
    first, second = trigger.lines()
    assert first["xray_trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
    assert (first["cold_start"], second["cold_start"]) == (True, False)
    assert first["function_request_id"] != second["function_request_id"]
    # Each line occurs once: the runtime client's own handler would write it again.
    lines = [json.loads(line) for line in trigger.log.read_text().splitlines() if line[:1] == "{"]
    assert [line.get("ColdStarts") for line in lines] == [[1], None, None]
    assert INBOX not in trigger.log.read_text()
