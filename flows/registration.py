"""What a registration changes, or would change."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Registration:
    """What a registration did, or would do.

    Attributes:
        work_pool: name of the pool.
        dry_run: whether nothing is written.
        changes: sentences for people; empty where all was there already.
        notes: what they should know beside that.
        deployments: ids by full name, `flow/deployment`; those that are there.
        pool_is_new: whether no worker can have told of itself yet.
    """

    work_pool: str
    dry_run: bool = False
    changes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    deployments: dict[str, str] = field(default_factory=dict)
    pool_is_new: bool = False

    def writes(self, change: str) -> bool:
        """Note a change; tell whether to write it."""
        self.changes.append(change)
        return not self.dry_run
