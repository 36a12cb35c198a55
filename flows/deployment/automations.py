"""Prefect automations: read from automations.toml, and registered."""

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

AUTOMATIONS = Path(__file__).with_name("automations.toml")
# Every automation of ours has this prefix and the tag; others with both are deleted.
PREFIX = "echodrop: "
TAG = "echodrop"

_OF_OUR_RUNS = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
_PAGE = 200
_COMPARED = ("description", "tags", "trigger", "actions")


class AutomationsError(ValueError):
    """The block that the automations notify does not exist."""


@dataclass
class Registration:
    """The changes that a registration made, or would make, as sentences for people.

    `deployments`: ids of the existing deployments by full name, `flow/deployment`. `pool_is_new`: the pool
    was just created, so no worker has sent a heartbeat yet.
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


def read_automations() -> tuple[Automation, ...]:
    """Read automations.toml; a test checks what Prefect itself would not refuse."""
    document = tomllib.loads(AUTOMATIONS.read_text("utf-8"))
    return tuple(_automation(**entry) for entry in document["automation"])


def _automation(name: str, description: str, says: str, trigger: dict[str, Any]) -> Automation:
    runs = {"match": {"prefect.resource.id": "prefect.flow-run.*"}}
    related = [_OF_OUR_RUNS, *trigger.get("match_related", [])]
    given = EventTrigger.model_validate(runs | trigger | {"match_related": related})
    return Automation(PREFIX + name, description, says, given)


def register_automations(
    client: SyncPrefectClient, done: Registration, wanted: Sequence[Automation], block: str
) -> None:
    """Write the differences; an automation that is switched off stays off.

    `block` is what they notify, `type/name` on the server; if it is empty, ours are deleted from it.

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
        raise AutomationsError(f"block {block}: does not exist on the server") from error
