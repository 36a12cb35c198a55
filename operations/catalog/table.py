"""The table of all outputs: GeoParquet 1.1 and CSV, a row for each output."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from operations.catalog.facts import Facts
from operations.catalog.geometry import geometry_of, wkb

_TEXTS = ("output", "name", "cruise", "model")
_TIMES = ("first", "last", "published_at")
_SIDES = ("west", "south", "east", "north")
_NUMBERS = ("pings", "source_bytes", "bytes", "corrections")
_LISTS = ("channels", "channel_ids", "quality")
_PLACES = ("missing", "thumbnail", "picture", "viewer", "manifest", "raw")
_COLUMNS = (*_TEXTS, *_TIMES, *_SIDES, *_NUMBERS, *_LISTS, "frequencies", *_PLACES)


def parquet(outputs: Iterable[Facts]) -> bytes:
    """The table as GeoParquet: the column `geometry` is WKB in WGS 84, the track or the box of the output."""
    # Slow to import.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows, kinds = [], set[str]()
    for facts in outputs:
        row, geometry = _row(facts), geometry_of(facts["track"], facts["box"])
        row |= {name: row[name] and datetime.fromisoformat(row[name]) for name in _TIMES}
        row["geometry"] = wkb(geometry) if geometry else None
        kinds |= {geometry["type"]} if geometry else set()
        rows.append(row)
    types = {
        **dict.fromkeys((*_TEXTS, *_PLACES), pa.string()),
        **dict.fromkeys(_TIMES, pa.timestamp("us", "UTC")),
        **dict.fromkeys(_SIDES, pa.float64()),
        **dict.fromkeys(_NUMBERS, pa.int64()),
        **dict.fromkeys(_LISTS, pa.list_(pa.string())),
        "frequencies": pa.list_(pa.float64()),
    }
    column = {"encoding": "WKB", "geometry_types": sorted(kinds)}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    fields = [*((name, types[name]) for name in _COLUMNS), ("geometry", pa.binary())]
    schema = pa.schema(fields, metadata={"geo": json.dumps(geo)})
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), file, compression="zstd")
    return file.getvalue()


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
