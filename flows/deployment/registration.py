"""The result of a registration."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Registration:
    """The changes that a registration made, or would make.

    Attributes:
        work_pool: name of the pool.
        dry_run: write nothing.
        changes: sentences for people; empty if nothing changed.
        notes: further sentences for people.
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
