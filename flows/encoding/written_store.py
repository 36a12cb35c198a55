"""A record of a written Zarr store: digests of all objects, bodies of the small ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Digest(NamedTuple):
    """Size in bytes and SHA-256 (hexadecimal) of an object."""

    size: int
    sha256: str


@dataclass
class WrittenStore:
    """The objects of a store by relative key: digests of all, bodies of the small ones.

    Chunks of samples are the bulk of a store, and are dropped as soon as they are
    written. Metadata and small arrays are kept for the verification.
    """

    digests: dict[str, Digest] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def add(self, key: str, body: bytes, *, keep: bool) -> None:
        """Record a written object; `keep` its body."""
        self.digests[key] = Digest(len(body), hashlib.sha256(body).hexdigest())
        if keep:
            self.bodies[key] = body

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(digest.size for digest in self.digests.values())

    def checksum(self) -> str:
        """One SHA-256 over the store; see `store_checksum`."""
        return store_checksum({key: digest.sha256 for key, digest in self.digests.items()})


def store_checksum(digests: Mapping[str, str]) -> str:
    """One SHA-256 over a store: of the lines `<hex sha256> <key>` with line feeds, sorted by key."""
    whole = hashlib.sha256()
    for key in sorted(digests):
        whole.update(f"{digests[key]} {key}\n".encode())
    return whole.hexdigest()
