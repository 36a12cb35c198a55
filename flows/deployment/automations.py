"""Prefect automations: read from automations.toml, checked, and registered."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import CallWebhook, SendNotification
from prefect.events.schemas.automations import Automation as Found
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.exceptions import ObjectNotFound
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
_PAGE = 200
_COMPARED = ("description", "tags", "trigger", "actions")


class AutomationsError(ValueError):
    """The automations file is invalid, or their block does not exist: `where` and `problem`."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where, self.problem = where, problem


@dataclass
class Registration:
    """The changes that a registration made, or would make.

    Attributes:
        changes: sentences for people; empty if nothing changed.
        deployments: ids of the existing deployments by full name, `flow/deployment`.
        pool_is_new: the pool was just created, so no worker has sent a heartbeat yet.
    """

    work_pool: str
    dry_run: bool = False
    changes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    deployments: dict[str, str] = field(default_factory=dict)
    pool_is_new: bool = False

    def writes(self, change: str) -> bool:
        """Record a change; return whether to write it."""
        self.changes.append(change)
        return not self.dry_run


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


def register_automations(
    client: SyncPrefectClient, done: Registration, wanted: Sequence[Automation], block: str
) -> None:
    """Write the differences; an automation that is switched off stays off.

    `block` is what they notify, `type/name` on the server: a webhook is called, any other must be
    a notification block. If it is empty, ours are deleted from the server.

    Raises:
        AutomationsError: the block does not exist.
    """
    found = our_automations(client)
    ours: list[AutomationCore] = []
    if block:
        identity, webhook = _read_block(client, block), block.startswith("webhook/")
        ours = [automation.to(identity, webhook=webhook) for automation in wanted]
    else:
        done.notes.append("no Prefect automations: NotifyBlock is empty")
    for automation in ours:
        theirs = found.pop(automation.name, None)
        if theirs is None:
            if done.writes(f"create automation {automation.name}"):
                client.create_automation(automation)
            continue
        differing = [
            name for name in _COMPARED if getattr(automation, name) != getattr(theirs, name)
        ]
        change = f"change {', '.join(differing)} of automation {automation.name}"
        if differing and done.writes(change):
            kept = automation.model_copy(update={"enabled": theirs.enabled})
            client.update_automation(theirs.id, kept)
    for name, stale in found.items():
        if done.writes(f"delete automation {name}"):
            client.delete_automation(stale.id)


def our_automations(client: SyncPrefectClient) -> dict[str, Found]:
    """Return the automations on the server that have our prefix and tag, by name."""
    found: list[Found] = []
    while len(found) % _PAGE == 0:
        page = client.read_automations(limit=_PAGE, offset=len(found))
        found += page
        if not page:
            break
    return {each.name: each for each in found if each.name.startswith(PREFIX) and TAG in each.tags}


def _read_block(client: SyncPrefectClient, block: str) -> UUID:
    kind, _, name = block.partition("/")
    try:
        return client.read_block_document_by_name(name, kind, include_secrets=False).id
    except ObjectNotFound as error:
        raise AutomationsError(f"block {block}", "does not exist on the server") from error
