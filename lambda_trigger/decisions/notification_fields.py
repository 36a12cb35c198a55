"""Reads the fields of one notification: S3's own, and those that echodrop adds."""

from typing import Any

from lambda_trigger.decisions.outcomes import LANES, LIVE


class MalformedError(ValueError):
    """The body is not a notification; the message says what is wrong."""


def object_in(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object that a notification must have under this name."""
    part = value.get(name)
    if not isinstance(part, dict):
        raise MalformedError(f"a notification without {name!r}")
    return part


def text_in(value: dict[str, Any], name: str) -> str:
    """Return the text that a notification must have under this name."""
    text = value.get(name)
    if not isinstance(text, str) or not text:
        raise MalformedError(f"a notification without {name!r}")
    return text


def optional_text(value: object) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def etag_of(value: object) -> str | None:
    """Return an entity tag without its quotes."""
    text = optional_text(value)
    return text.strip('"') if text else None


def size_in(item: dict[str, Any]) -> int | None:
    """Return an object's size in bytes, None if the notification has none."""
    size = item.get("size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise MalformedError(f"the size is not a number of bytes: {size!r}")
    return size


def echodrop_fields(holder: dict[str, Any]) -> dict[str, Any]:
    """Read the fields that echodrop adds to a notification.

    They are `generation`, `lane`, `repair`, `allow_partial` and `after`. An unknown lane is an error: treated as live, a whole backfill would run
    before today's uploads.
    """
    ours = holder.get("echodrop")
    ours = ours if isinstance(ours, dict) else {}
    generation, after = ours.get("generation", 0), ours.get("after", "")
    lane = ours.get("lane", LIVE)
    if isinstance(generation, bool) or not isinstance(generation, int) or generation < 0:
        raise MalformedError(f"the generation is not a whole number: {generation!r}")
    if lane not in LANES:
        raise MalformedError(f"the lane is not one of {', '.join(LANES)}: {lane!r}")
    return {
        "generation": generation,
        "lane": lane,
        "is_repair": (ours.get("repair") or ours.get("mends")) is True,  # former name
        "allow_partial": ours.get("allow_partial") is True,
        "after": after if isinstance(after, str) else "",
    }
