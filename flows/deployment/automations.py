"""Prefect automations: read from automations.toml and checked before they are registered."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.events.actions import CallWebhook, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from pydantic import ValidationError

AUTOMATIONS = Path(__file__).with_name("automations.toml")
# Every automation of ours has this prefix and the tag; others with both are deleted.
PREFIX = "echodrop: "
TAG = "echodrop"
# A run sends a heartbeat every 180 s; on a busy machine up to two can be late.
LEAST_SILENCE = 540
HEARTBEAT = "prefect.flow-run.heartbeat"

_KEYS = {"name", "description", "says", "trigger"}
_OF_OUR_RUNS = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}


class AutomationsError(ValueError):
    """The automations file is invalid: the `problem`, and `where` in the file it is."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where, self.problem = where, problem


@dataclass(frozen=True)
class Automation:
    """One alert: its trigger and its text (a Jinja template, as in Prefect's UI)."""

    name: str
    description: str
    says: str
    trigger: EventTrigger

    def to(self, block: UUID, *, webhook: bool) -> AutomationCore:
        """Return the automation for Prefect's API, with a webhook block or a notification block."""
        action: CallWebhook | SendNotification
        if webhook:
            # The text may contain quotes and line ends, so the template encodes it as JSON.
            payload = f'{{% set text %}}{self.says}{{% endset %}}{{"text": {{{{ text|tojson }}}}}}'
            action = CallWebhook(block_document_id=block, payload=payload)
        else:
            action = SendNotification(block_document_id=block, subject=self.name, body=self.says)
        return AutomationCore(
            name=self.name,
            description=self.description,
            tags=[TAG],
            trigger=self.trigger,
            actions=[action],
        )


def read_automations(path: Path = AUTOMATIONS) -> tuple[Automation, ...]:
    """Read and check the file.

    Raises:
        AutomationsError: it is not TOML, has unknown or missing keys, has a name twice,
            has a trigger that Prefect would reject, or would report a busy run as dead.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise AutomationsError(path.name, f"is not TOML: {error}") from error
    if document.keys() != {"automation"}:
        raise AutomationsError(path.name, "may contain only [[automation]] tables")
    read = tuple(_automation(entry) for entry in document["automation"])
    names = [automation.name for automation in read]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise AutomationsError(twice, "is defined twice")
    return read


def _automation(entry: dict[str, Any]) -> Automation:
    where = str(entry.get("name", "unnamed automation"))
    if entry.keys() != _KEYS:
        wrong = ", ".join(sorted(entry.keys() ^ _KEYS))
        raise AutomationsError(where, f"unknown or missing keys: {wrong}")
    given = dict(entry["trigger"])
    # Prefect ignores unknown keys, so the trigger would not be the intended one.
    if unknown := sorted(given.keys() - EventTrigger.model_fields.keys()):
        raise AutomationsError(where, f"trigger: unknown keys: {', '.join(unknown)}")
    given.setdefault("match", {"prefect.resource.id": "prefect.flow-run.*"})
    given["match_related"] = [_OF_OUR_RUNS, *given.get("match_related", [])]
    try:
        trigger = EventTrigger.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AutomationsError(where, f"trigger: {place}: {first['msg']}") from error
    silence = trigger.within.total_seconds()
    if HEARTBEAT in trigger.after and silence < LEAST_SILENCE:
        raise AutomationsError(
            where, f"trigger: a live run may send no heartbeat for {silence:.0f} s"
        )
    return Automation(PREFIX + where, entry["description"], entry["says"], trigger)
