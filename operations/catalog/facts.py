"""What the catalogue says of an output, from its manifest, and of a failed upload, from its report. Pure.

The facts are JSON values. A catalogue keeps them, so that a manifest is read once.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from flows.core.locations import OUTPUT_SUFFIXES
from flows.core.public_uri import public_uri

Facts = dict[str, Any]

# In the name of a Simrad channel, if the manifest has no frequencies.
_KILOHERTZ = re.compile(r"(\d+(?:\.\d+)?)\s*kHz", re.IGNORECASE)


class FactsUnreadableError(ValueError):
    """A manifest or report does not have the facts."""


def output_facts(body: bytes, output: str) -> Facts:
    """The facts of an output (its path in the bucket or folder), from the body of its manifest.

    Raises:
        FactsUnreadableError: it is not a manifest.
    """
    try:
        manifest = json.loads(body)
        contents, source = manifest["contents"], manifest["source"]
        times = contents["time_range"] or {}
        box, positions = contents["position_box"], contents.get("positions") or {}
        frequencies = contents.get("frequencies") or {}
        folder, _, name = output.rpartition("/")
        facts = {
            "output": output,
            "name": _stem(name),
            "cruise": folder,
            "model": manifest["sonar"]["model"],
            "first": moment(times.get("first")),
            "last": moment(times.get("last")),
            "box": [box[side] for side in ("west", "south", "east", "north")] if box else None,
            "track": positions.get("track"),
            "channels": [_label(each, frequencies.get(each)) for each in contents["channels"]],
            "pings": max(contents["pings"].values(), default=0),
            "source_bytes": source["bytes"],
            "bytes": manifest["output"]["bytes"],
            "published_at": moment(manifest["published_at"]),
            "outcome": "Completed",
            "missing": manifest["missing"],
            "quality": [fact["sentence"] for fact in manifest.get("quality", []) if fact["alarm"]],
            "corrections": sum(each["count"] for each in manifest.get("corrections", [])),
            "raw": public_uri(source["uri"]),
            "channel_ids": contents["channels"],
            "frequencies": [frequencies.get(each) for each in contents["channels"]],
            "dimensions": next(
                (
                    sizes
                    for group, sizes in sorted(contents["dimensions"].items())
                    if group.startswith("Sonar/Beam_group")
                ),
                {},
            ),
        }
        # One that can't be written is named, and does not stop the catalogue.
        json_bytes(facts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FactsUnreadableError(f"not a manifest: {error!r}") from error
    return facts


def failure_facts(body: bytes) -> Facts:
    """The facts of a failed upload, from the report beside its output.

    Raises:
        FactsUnreadableError: it is not a failure report.
    """
    try:
        report = json.loads(body)
        uri = public_uri(report["source"]["uri"])
        facts = {
            "key": uri.split("/", 3)[3] if uri.startswith("s3://") else uri,
            "outcome": report["outcome"],
            "reason": report["message"],
            "at": moment(report.get("failed_at")),
        }
        json_bytes(facts)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise FactsUnreadableError(f"not a failure report: {error!r}") from error
    return facts


def json_bytes(values: object) -> bytes:
    """The values as JSON in UTF-8.

    Raises:
        ValueError: a NaN, an infinity or a lone surrogate, which Python reads, but JSON does not have.
    """
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def moment(text: str | None) -> str | None:
    """A time in RFC 3339, in UTC and with microseconds; the manifest's have nanoseconds."""
    if text is None:
        return None
    found = datetime.fromisoformat(text).astimezone(UTC)
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _stem(name: str) -> str:
    for suffix in OUTPUT_SUFFIXES.values():
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _label(channel: str, hertz: float | None) -> str:
    if hertz is None:
        found = _KILOHERTZ.search(channel)
        return f"{float(found[1]):g} kHz" if found else channel
    return f"{hertz / 1000:g} kHz"
