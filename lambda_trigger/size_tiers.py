"""Which size of task a file gets: pure, from the tiers of the rules document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tier:
    """One size of task.

    CPU in Fargate's units (1024 are one vCPU), memory in MiB, disk in GiB.
    `up_to_bytes` says by sonar model how large a raw file may be, in bytes.
    """

    name: str
    cpu: int
    memory: int
    ephemeral_storage: int
    up_to_bytes: Mapping[str, int]

    @property
    def job_variables(self) -> dict[str, int]:
        """Give what the work pool's job template calls the three."""
        return {
            "cpu": self.cpu,
            "memory": self.memory,
            "ephemeral_storage": self.ephemeral_storage,
        }


def tier_for(tiers: Sequence[Tier], sonar_model: str, size: int) -> Tier | None:
    """Choose the first tier that takes a file of `size` bytes, else the last; None where there are none."""
    fitting = (tier for tier in tiers if size <= tier.up_to_bytes[sonar_model])
    return next(fitting, tiers[-1] if tiers else None)


def larger_tier(tiers: Sequence[Tier], memory: int | None) -> Tier | None:
    """Choose the first tier of more memory (MiB); None where there is none, or the memory is not known."""
    return next((tier for tier in tiers if memory is not None and tier.memory > memory), None)
