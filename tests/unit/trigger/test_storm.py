from __future__ import annotations

import random
from collections import Counter

from events.notifications import NotifiedObject
from tests.file_heads import file_head
from tests.storm import make_storm
from tests.unit.trigger.conftest import Trigger


def test_a_storm_with_outages_creates_one_run_for_each_upload(trigger: Trigger) -> None:
    objects = []
    for number in range(650):
        stored = trigger.storage.put(
            f"HB{number % 7}/é {number}.raw", file_head("EK60") + bytes([number % 256])
        )
        key = f"HB{number % 7}/é {number}.raw"
        objects.append(NotifiedObject("inbox", key, stored.size, stored.etag))
    storm = make_storm(objects, seed=20260601)
    chance = random.Random(1)
    waiting = list(storm.bodies)
    while waiting:
        batch, waiting = waiting[:10], waiting[10:]
        trigger.flow_runs.broken = chance.random() < 0.3
        answer = trigger.receive(*batch)
        again = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        # Failed messages return later, as from a queue.
        waiting += [body for index, body in enumerate(batch) if f"message-{index}" in again]
    outcomes = Counter(
        line["message"].split(":")[0] + ": " + line["reason"] for line in trigger.lines
    )
    assert outcomes["Submitted: new"] == 650
    assert outcomes["Submitted: existing"] == 300
    assert outcomes["Rejected: malformed"] == 50
    assert outcomes["Retried: transport"] > 0
    assert {run.parameters["raw_file"] for run in trigger.flow_runs.runs.values()} == {
        f"s3://inbox/{item.key}" for item in objects
    }
