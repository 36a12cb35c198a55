"""automations.toml is checked before it is registered, and covers every failure."""

import re
from pathlib import Path
from uuid import UUID

import pytest

from flows.core.run_ends import Outcome
from flows.deployment.automations import AutomationsError, read_automations
from flows.failures.failure_report import FAILURES

# The flow reports these as notices, file by file. A conflict has an automation too.
NOTICES = {name for name, failure in FAILURES.items() if not failure.pages} - {"OutputConflict"}
ENTRY = """
[[automation]]
name = "one"
description = "what"
says = "words"
[automation.trigger]
posture = "Proactive"
after = ["prefect.flow-run.heartbeat"]
expect = ["prefect.flow-run.*"]
within = 540
"""


def test_every_failure_is_the_file_s_own_or_has_an_automation() -> None:
    # A run that ended without an outcome is Failed, Crashed or TimedOut in Prefect's own words.
    failures = {name for name, kind in FAILURES.items() if issubclass(kind, Outcome)} | {
        "AllFailed"
    }
    expected = {event for each in read_automations() for event in each.trigger.expect}
    assert {f"prefect.flow-run.{name}" for name in failures - NOTICES} <= expected
    assert not {f"prefect.flow-run.{name}" for name in NOTICES | {"PartlyFailed"}} & expected


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


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[[automation]]", "[[automation]", "is not TOML"),
        ("[[automation]]", "extra = 1\n[[automation]]", "only [[automation]] tables"),
        ('says = "words"', "", "one: unknown or missing keys: says"),
        (
            'says = "words"',
            'says = "words"\nenabled = false',
            "one: unknown or missing keys: enabled",
        ),
        (
            "within = 540",
            "within = 539",
            "one: trigger: a live run may send no heartbeat for 539 s",
        ),
        ("within = 540", "withn = 540", "one: trigger: unknown keys: withn"),
        ("Proactive", "Sometimes", "one: trigger: posture: "),
        ("within = 540", "within = 540\n" + ENTRY, "one: is defined twice"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = tmp_path / "automations.toml"
    path.write_text(ENTRY)
    assert len(read_automations(path)) == 1
    path.write_text(ENTRY.replace(old, new))
    with pytest.raises(AutomationsError, match=re.escape(problem)):
        read_automations(path)
