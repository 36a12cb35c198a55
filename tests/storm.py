"""A storm of notifications: shuffled, repeated, in mixed envelopes, some of them broken."""

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass

from events.notifications import NotifiedObject
from tests.envelopes import ENVELOPES


@dataclass(frozen=True, slots=True)
class Storm:
    """Message bodies in the order to send them, and how many of them are malformed."""

    bodies: tuple[str, ...]
    malformed: int


def make_storm(
    objects: Sequence[NotifiedObject],
    *,
    seed: int,
    duplicates: float = 0.3,
    malformed: float = 0.05,
) -> Storm:
    """Make a storm that has at least one notification of every object.

    Args:
        objects: the objects to send notifications of.
        seed: the same seed gives the same storm.
        duplicates: share of messages that repeat an object, often in another envelope.
        malformed: share of messages that are not notifications.
    """
    chance = random.Random(seed)
    total = round(len(objects) / (1 - duplicates - malformed))
    broken = round(total * malformed)
    again = total - broken - len(objects)
    repeated = [*objects, *chance.choices(objects, k=again)]
    envelopes = sorted(ENVELOPES)
    bodies = [ENVELOPES[chance.choice(envelopes)](item) for item in repeated]
    bodies += [_broken(chance, bodies) for _ in range(broken)]
    chance.shuffle(bodies)
    return Storm(tuple(bodies), broken)


def _broken(chance: random.Random, bodies: Sequence[str]) -> str:
    """Make a message body that is not a notification."""
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
