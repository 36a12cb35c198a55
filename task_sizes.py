"""The two sizes of task, and which one a file gets.

The trigger, the flows and the operations all ask here, so it imports only the standard library.

A file's samples never lie in memory as a whole (docs/decisions/streamed-samples.md), so memory
follows the file only a little: `peak_bytes` is above what conversions were measured to take. A task
that is killed all the same runs again on LARGE (lambda_trigger/larger_task.py).
"""

from dataclasses import dataclass

from sonar_models import SONAR_MODELS

_MIB, _GIB = 2**20, 2**30
# Python with all that a conversion imports, Prefect's own share, what S3's client and the writers keep.
_FIXED = 350_000_000
# Of a task's memory: what the rule leaves out, and the container's own.
_SPARE = 0.2


@dataclass(frozen=True, slots=True)
class TaskSize:
    """One size: Fargate's CPU units (1024 are one vCPU), MiB of memory, GiB of disk."""

    name: str
    cpu: int
    memory: int
    ephemeral_storage: int

    @property
    def job_variables(self) -> dict[str, int]:
        """What the work pool's job template calls the three."""
        return {
            "cpu": self.cpu,
            "memory": self.memory,
            "ephemeral_storage": self.ephemeral_storage,
        }

    def fits(self, sonar_model: str, file_bytes: int) -> bool:
        """Whether memory is enough for a raw file, and disk for it and an output as large."""
        return (
            peak_bytes(sonar_model, file_bytes) <= usable_bytes(self.memory * _MIB)
            and 2 * file_bytes <= self.ephemeral_storage * _GIB
        )


# STANDARD is the least memory that Fargate sells with room to spare; its disk holds the largest file
# that the rules let in (20 GB) twice. LARGE is the most memory for 4 vCPU, and the most disk there is.
STANDARD = TaskSize("standard", 1024, 4096, 42)
LARGE = TaskSize("large", 4096, 30720, 200)


def size_for(sonar_model: str, file_bytes: int) -> TaskSize:
    """STANDARD, unless the file does not fit it."""
    return STANDARD if STANDARD.fits(sonar_model, file_bytes) else LARGE


def peak_bytes(sonar_model: str, file_bytes: int) -> int:
    """Bytes of memory that one conversion takes at most."""
    return _FIXED + round(SONAR_MODELS[sonar_model.upper()].memory * file_bytes)


def usable_bytes(memory: int) -> int:
    """Bytes for conversions, of a task's `memory` in bytes."""
    return round(memory * (1 - _SPARE))
