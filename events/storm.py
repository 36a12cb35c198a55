"""A storm of notifications: shuffled, repeated, in mixed envelopes, some of them broken."""

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass

from events.notifications import ENVELOPES, StoredObject


@dataclass(frozen=True, slots=True)
class Storm:
    """Message bodies in the order to send them, and how many of them are no notification."""

    bodies: tuple[str, ...]
    malformed: int


def make_storm(
    objects: Sequence[StoredObject],
    *,
    seed: int,
    duplicates: float = 0.3,
    malformed: float = 0.05,
) -> Storm:
    """Make a storm in which every object is told of at least once.

    Args:
        objects: what to tell of.
        seed: the same seed gives the same storm.
        duplicates: the share of all messages that tell again of an object, often in another envelope.
        malformed: the share of all messages that are no notification.
    """
    chance = random.Random(seed)  # noqa: S311 - a seeded storm, no secret
    total = round(len(objects) / (1 - duplicates - malformed))
    broken = round(total * malformed)
    again = total - broken - len(objects)
    told = [*objects, *chance.choices(objects, k=again)]
    envelopes = sorted(ENVELOPES)
    bodies = [ENVELOPES[chance.choice(envelopes)](item) for item in told]
    bodies += [_broken(chance, bodies) for _ in range(broken)]
    chance.shuffle(bodies)
    return Storm(tuple(bodies), broken)


def _broken(chance: random.Random, bodies: Sequence[str]) -> str:
    """Make a body that is no notification, of what a message of SQS may hold."""
    whole = chance.choice(bodies)
    return chance.choice(
        [
            whole[: chance.randrange(1, len(whole) - 1)],
            " ",
            "null",
            "[]",
            '{"Records": []}',
            '{"hello": "world"}',
            base64.b85encode(chance.randbytes(40)).decode(),
        ]
    )
