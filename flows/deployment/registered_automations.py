"""Registers the automations from automations.toml on the Prefect server."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation as Found
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from flows.deployment.automations import PREFIX, TAG, Automation, AutomationsError
from flows.deployment.registration import Registration

WEBHOOK = "webhook"
_PAGE = 200
_OURS = ("description", "tags", "trigger", "actions")


def register_automations(
    client: SyncPrefectClient, done: Registration, wanted: Sequence[Automation], block: str
) -> None:
    """Write the differences; an automation that is switched off stays off.

    Args:
        client: client of the server.
        done: collects the changes.
        wanted: the automations; without a block, ours are deleted from the server.
        block: the block that they notify, `type/name` on the server: a webhook is
            called, any other must be a notification block; empty for none.

    Raises:
        AutomationsError: the block does not exist.
    """
    found = our_automations(client)
    ours: list[AutomationCore] = []
    if block:
        identity, webhook = read_block(client, block), block.startswith(f"{WEBHOOK}/")
        ours = [automation.to(identity, webhook=webhook) for automation in wanted]
    else:
        done.notes.append("no Prefect automations: NotifyBlock is empty")
    for automation in ours:
        _register(client, done, automation, found.pop(automation.name, None))
    for name, stale in found.items():
        if done.writes(f"delete automation {name}"):
            client.delete_automation(stale.id)


def our_automations(client: SyncPrefectClient) -> dict[str, Found]:
    """Return the automations on the server that have our prefix and tag, by name."""
    found: list[Found] = []
    while True:
        page = client.read_automations(limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return {
                each.name: each
                for each in found
                if each.name.startswith(PREFIX) and TAG in each.tags
            }


def read_block(client: SyncPrefectClient, block: str) -> UUID:
    """Return a block's id.

    Raises:
        AutomationsError: the block does not exist.
    """
    kind, _, name = block.partition("/")
    try:
        return client.read_block_document_by_name(name, kind, include_secrets=False).id
    except ObjectNotFound as error:
        raise AutomationsError(f"block {block}", "does not exist on the server") from error


def _register(
    client: SyncPrefectClient, done: Registration, ours: AutomationCore, theirs: Found | None
) -> None:
    if theirs is None:
        if done.writes(f"create automation {ours.name}"):
            client.create_automation(ours)
        return
    differing = [name for name in _OURS if getattr(ours, name) != getattr(theirs, name)]
    if differing and done.writes(f"change {', '.join(differing)} of automation {ours.name}"):
        client.update_automation(theirs.id, ours.model_copy(update={"enabled": theirs.enabled}))
