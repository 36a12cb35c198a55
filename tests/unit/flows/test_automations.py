"""automations.toml is valid, and covers every failure."""

import tomllib
from dataclasses import replace
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.events import Event, RelatedResource, Resource
from prefect.events.schemas.automations import EventTrigger
from prefect.events.schemas.events import ResourceSpecification

from flows.deployment.automations import AUTOMATIONS, read_automations
from flows.failures.failure_report import FAILURES
from flows.runs.failure_page import show_failure
from tests.unit.flows.test_failure_report import REPORT

HEARTBEAT = "prefect.flow-run.heartbeat"
# How Prefect itself ends a run.
BY_PREFECT = {"Crashed", "TimedOut"}


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        *(([name], name if name in BY_PREFECT else "Failed") for name in FAILURES),
        (["BadFile", "DiskFault"], "Failed"),
        # A file of a batch whose process died; the batch itself ended.
        (["Crashed", "DiskFault"], "Failed"),
        (["Crashed"], "Failed"),
        (["BadFile", "OutputConflict"], "Failed"),
        (["OutputConflict", "DiskFault"], "Failed"),
    ],
)
def test_every_failure_is_the_file_s_own_or_has_an_automation(
    outcomes: list[str], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is reported if one of its failures is not the file's own."""
    emitted: list[Event] = []
    monkeypatch.setattr(
        "flows.runs.failure_page.emit_event",
        lambda event, **parts: emitted.append(Event(event=event, **parts)),
    )
    # The event does not depend on the page, which Prefect may refuse.
    monkeypatch.setattr("flows.runs.failure_page.get_client", lambda **_: 1 / 0)
    run = FlowRun(id=UUID(int=7), flow_id=UUID(int=8), name="run", tags=["echodrop"])
    reports = [replace(REPORT, outcome=name) for name in outcomes]
    show_failure(run, reports, ended_by_itself=state not in BY_PREFECT)
    events = [
        *emitted,
        Event(
            event=f"prefect.flow-run.{state}",
            resource=Resource({"prefect.resource.id": f"prefect.flow-run.{run.id}"}),
            related=[
                RelatedResource(
                    {
                        "prefect.resource.id": "prefect.flow.1",
                        "prefect.resource.role": "flow",
                        "prefect.resource.name": "convert-raw-sonar",
                    }
                ),
                RelatedResource(
                    {
                        "prefect.resource.id": "prefect.tag.echodrop",
                        "prefect.resource.role": "tag",
                    }
                ),
            ],
        ),
    ]
    expecting = [
        each.name
        for each in read_automations()
        for event in events
        if event.event in each.trigger.expect | each.trigger.after
        and ResourceSpecification.model_validate(each.trigger.match).includes([event.resource])
        and all(
            ResourceSpecification.model_validate(wanted).includes(event.related)
            for wanted in each.trigger.match_related
        )
    ]
    assert len(expecting) == (
        any(FAILURES[name].pages or name == "OutputConflict" for name in outcomes)
    )


def test_all_apply_only_to_our_runs() -> None:
    ours = {"prefect.resource.id": "prefect.tag.echodrop", "prefect.resource.role": "tag"}
    for automation in read_automations():
        related = automation.trigger.match_related
        assert isinstance(related, list)
        assert ours in [getattr(each, "root", each) for each in related]


def test_a_webhook_is_sent_json_and_a_notification_words() -> None:
    (first, *_) = read_automations()
    block = UUID(int=1)
    called, notified = (first.to(block, webhook=webhook).actions[0] for webhook in (True, False))
    assert (called.type, notified.type) == ("call-webhook", "send-notification")


def test_the_file_has_no_fault_that_prefect_would_accept() -> None:
    entries = tomllib.loads(AUTOMATIONS.read_text())["automation"]
    assert len({entry["name"] for entry in entries}) == len(entries)
    for entry in entries:
        # Prefect ignores unknown keys, so the trigger would not be the intended one.
        assert entry["trigger"].keys() <= EventTrigger.model_fields.keys()
    for automation in read_automations():
        if HEARTBEAT in automation.trigger.after:
            # A run sends a heartbeat every 180 s; on a busy machine up to two can be late.
            assert automation.trigger.within.total_seconds() >= 540
