"""Prefect's own alerts: read from automations.toml and checked, before anything is registered."""

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
# Every automation of ours bears it and the tag: what has both and is not wanted is taken away.
PREFIX = "echodrop: "
TAG = "echodrop"
# A run tells of itself every 180 s; less than three of them is a busy machine.
LEAST_SILENCE = 540
HEARTBEAT = "prefect.flow-run.heartbeat"

_KEYS = {"name", "description", "says", "trigger"}
_OF_OUR_RUNS = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}


class AutomationsError(ValueError):
    """The file of automations is not usable: `where` in it, and the `problem`."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where, self.problem = where, problem


@dataclass(frozen=True)
class Automation:
    """One alert: when, and what it says (a Jinja template, as in Prefect's UI)."""

    name: str
    description: str
    says: str
    trigger: EventTrigger

    def to(self, block: UUID, *, webhook: bool) -> AutomationCore:
        """Return it as Prefect's API takes it, for a webhook's or a notification's block."""
        action: CallWebhook | SendNotification
        if webhook:
            # The words may hold quotes and line ends, the payload is JSON all the same.
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
        AutomationsError: it is no TOML, has unknown or missing keys, a name
            twice, a trigger that Prefect would not take, or takes a busy run for
            a dead one.
    """
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise AutomationsError(path.name, f"is not TOML: {error}") from error
    if told.keys() != {"automation"}:
        raise AutomationsError(path.name, "holds [[automation]] tables and nothing else")
    read = tuple(_automation(entry) for entry in told["automation"])
    names = [automation.name for automation in read]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise AutomationsError(twice, "is there twice")
    return read


def _automation(entry: dict[str, Any]) -> Automation:
    where = str(entry.get("name", "an automation without a name"))
    if entry.keys() != _KEYS:
        wrong = ", ".join(sorted(entry.keys() ^ _KEYS))
        raise AutomationsError(where, f"unknown or missing: {wrong}")
    given = dict(entry["trigger"])
    # Prefect passes over what it does not know, and the alert would be another.
    if unknown := sorted(given.keys() - EventTrigger.model_fields.keys()):
        raise AutomationsError(where, f"trigger: unknown: {', '.join(unknown)}")
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
            where, f"trigger: within {silence:.0f} s a run that lives may be silent"
        )
    return Automation(PREFIX + where, entry["description"], entry["says"], trigger)
