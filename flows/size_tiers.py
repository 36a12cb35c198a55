"""Sizes of tasks, and up to which raw file each is enough by the memory model.

The trigger picks a run's size and cannot ask the model, so the table reaches
it as plain data in the rules document (`rules_tables`). Memory decides: it is
what kills a run. More CPU comes with it because Fargate sells them in pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from flows.memory_model import peak_bytes

MODELS = ("EK60", "ES70", "EK80", "ES80", "EA640", "AZFP", "AZFP6", "AD2CP")

_MIB = 2**20
# Beside the conversion (python -m benchmarks.peak_memory): 50 MB of Prefect's imports, 101 MB of the
# process that starts the run and watches it, and a run's logs and client.
PREFECT_BYTES = 200_000_000
# What the model leaves out: files unlike those it was fitted on, and the container's own.
SPARE = 0.2
# Limits are rounded down to this.
_STEP = 1_000_000
_LARGEST = 10**12


@dataclass(frozen=True)
class Tier:
    """One size: Fargate's CPU units and MiB of memory, GiB of disk."""

    name: str
    cpu: int
    memory: int
    ephemeral_storage: int

    @property
    def usable_bytes(self) -> int:
        """Bytes of memory a conversion may take."""
        return round(self.memory * _MIB * (1 - SPARE)) - PREFECT_BYTES


# 21 GiB is the least that can be asked for, 20 of them are free. The disk holds the raw file with its
# skeleton, and a netCDF output.
TIERS = (
    Tier("small", 1024, 4096, 21),
    Tier("medium", 2048, 16384, 21),
    Tier("large", 4096, 30720, 40),
    Tier("huge", 8192, 61440, 80),
    Tier("giant", 16384, 122880, 160),
)


def up_to_bytes(tier: Tier, sonar_model: str) -> int:
    """Largest raw file, in bytes, whose conversion fits a tier.

    Raises:
        UnknownSonarModelError: echopype does not know the model.
    """
    low, high = 0, _LARGEST // _STEP
    while low < high:
        middle = (low + high + 1) // 2
        if peak_bytes(sonar_model, middle * _STEP) <= tier.usable_bytes:
            low = middle
        else:
            high = middle - 1
    return low * _STEP


def rules_tables() -> str:
    """Return the tiers as the `[[tier]]` tables of a rules document, smallest first."""
    tables = []
    for tier in TIERS:
        limits = ", ".join(f"{model} = {up_to_bytes(tier, model)}" for model in MODELS)
        tables.append(
            f'[[tier]]\nname = "{tier.name}"\ncpu = {tier.cpu}\nmemory = {tier.memory}\n'
            f"ephemeral_storage = {tier.ephemeral_storage}\nup_to_bytes = {{ {limits} }}\n"
        )
    return "\n".join(tables)
