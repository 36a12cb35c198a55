"""What the catalogue says of an output, from its manifest, and of a failed upload, from its report. Pure.

The facts are JSON values. A catalogue keeps them, so that a manifest is read once.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.core.locations import OUTPUT_SUFFIXES
from flows.core.public_uri import public_uri
from operations.catalog.geometry import geometry_of

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


_TEXTS = ("output", "name", "cruise", "model")
_TIMES = ("first", "last", "published_at")
_SIDES = ("west", "south", "east", "north")
_NUMBERS = ("pings", "source_bytes", "bytes", "corrections")
_LISTS = ("channels", "channel_ids", "quality")
_PLACES = ("missing", "thumbnail", "picture", "viewer", "manifest", "raw")
_COLUMNS = (*_TEXTS, *_TIMES, *_SIDES, *_NUMBERS, *_LISTS, "frequencies", *_PLACES)
_SQL_TYPES = {
    **dict.fromkeys(_TIMES, "TIMESTAMPTZ"),
    **dict.fromkeys(_SIDES, "DOUBLE"),
    **dict.fromkeys(_NUMBERS, "BIGINT"),
    **dict.fromkeys(_LISTS, "VARCHAR[]"),
    "frequencies": "DOUBLE[]",
}


def parquet(outputs: Iterable[Facts]) -> bytes:
    """The table as GeoParquet: the column `geometry` is WKB in WGS 84, the track or the box of the output."""
    # Slow to import. pyarrow would do, too, but pandas imports it wherever it is installed: each
    # conversion would take 0.16 s and 47 MB more.
    import duckdb  # noqa: PLC0415

    kinds = set[str]()
    columns = {
        **{name: _SQL_TYPES.get(name, "VARCHAR") for name in _COLUMNS},
        "geometry": "VARCHAR",
    }
    with tempfile.TemporaryDirectory(prefix="echodrop-table-") as folder:
        lines, table = Path(folder, "rows.json"), Path(folder, "table.parquet")
        with lines.open("w", encoding="utf-8") as file:
            for facts in outputs:
                geometry = geometry_of(facts["track"], facts["box"])
                kinds |= {geometry["type"]} if geometry else set()
                shape = json.dumps(geometry) if geometry else None
                file.write(json.dumps({**_row(facts), "geometry": shape}) + "\n")
        column = {"encoding": "WKB", "geometry_types": sorted(kinds)}
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        with duckdb.connect() as database:
            database.execute(
                "COPY (SELECT * REPLACE (st_aswkb(st_geomfromgeojson(geometry)) AS geometry)"
                " FROM read_json($rows, format = 'newline_delimited', columns = $columns)) TO $table"
                " (FORMAT parquet, COMPRESSION zstd, KV_METADATA {geo: $geo})",
                {
                    "rows": str(lines),
                    "columns": columns,
                    "table": str(table),
                    "geo": json.dumps(geo),
                },
            )
        return table.read_bytes()


def comma_separated(outputs: Iterable[Facts]) -> bytes:
    """The table as CSV in UTF-8; the values of a list are joined by '; '."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for facts in outputs:
        row = _row(facts)
        lists = {
            name: "; ".join("" if each is None else str(each) for each in row[name])
            for name in (*_LISTS, "frequencies")
        }
        writer.writerow(row | lists)
    return text.getvalue().encode()


def _row(facts: Facts) -> dict[str, Any]:
    box = facts["box"] or [None] * 4
    return {name: facts.get(name) for name in _COLUMNS} | dict(zip(_SIDES, box, strict=True))
