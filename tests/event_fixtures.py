"""Fixtures: files with a notification and its expected outcomes.

A fixture is JSON:
- `about`: what the fixture shows;
- `inbox`: the objects in the inbox. Each has a `key` and its content: `model`
  (the first bytes of such a file) or `text`. Optional are `size` (the content is
  padded with zeros), `metadata`, `tags`, `version_id` and `archived`;
- `notification`: the message body, see `events.replay.fixture_messages`;
- `expected`: the outcomes, in order, as `{"key", "outcome", "reason"}` and,
  for a run, its `parameters`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from events.replay import INBOX, fixture_messages
from tests.file_heads import file_head

FIXTURES = Path(__file__).parents[1] / "events/fixtures"
OUTPUT = "echodrop-output"
# The rules that the expected outcomes assume.
RULES = f"""\
version = 1
inbox_bucket = "{INBOX}"
output_bucket = "{OUTPUT}"
[size_limits]
pause_above = 100_000
reject_above = 200_000
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
[[prefix]]
prefix = "not-for-us/"
ignore = true
"""


@dataclass(frozen=True, slots=True)
class InboxObject:
    """An object that is in the inbox when the notification arrives."""

    key: str
    body: bytes
    metadata: dict[str, str]
    tags: dict[str, str]
    version_id: str | None
    archived: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected outcome; `key` is None if the body names no object."""

    key: str | None
    outcome: str
    reason: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fixture:
    """A notification; `body` is the text of the message."""

    name: str
    about: str
    body: str
    inbox: tuple[InboxObject, ...]
    expected: tuple[Expected, ...]


def load_fixture(path: Path, inbox_bucket: str = INBOX) -> Fixture:
    """Read a fixture; `inbox_bucket` replaces echodrop-inbox."""
    (message,) = fixture_messages([path], inbox_bucket)
    content = json.loads(path.read_text().replace(INBOX, inbox_bucket))
    return Fixture(
        path.stem,
        content["about"],
        message.body,
        tuple(_inbox_object(item) for item in content["inbox"]),
        tuple(
            Expected(item["key"], item["outcome"], item["reason"], item.get("parameters", {}))
            for item in content["expected"]
        ),
    )


def all_fixtures() -> Iterator[Fixture]:
    """Read the project's fixtures, sorted by name."""
    return (load_fixture(path) for path in sorted(FIXTURES.glob("*.json")))


def _inbox_object(item: dict[str, Any]) -> InboxObject:
    body = file_head(item["model"]) if "model" in item else item["text"].encode()
    return InboxObject(
        key=item["key"],
        body=body.ljust(item.get("size", 0), b"\0"),
        metadata=item.get("metadata", {}),
        tags=item.get("tags", {}),
        version_id=item.get("version_id"),
        archived=item.get("archived", False),
    )
