"""The table of all outputs: GeoParquet 1.1 and CSV, a row for each output."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from operations.catalog.facts import Facts
from operations.catalog.geometry import geometry_of

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
