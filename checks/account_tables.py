"""Writes the tables of the account into docs/data-formats.md.

    python -m checks.account_tables

The tables are made from `flows/walk/accounts`; a test compares both.
"""

from __future__ import annotations

from pathlib import Path

from flows.walk.accounts.row import Row
from flows.walk.accounts.table import ACCOUNTS

DOCUMENT = Path(__file__).parents[1] / "docs" / "data-formats.md"
BEGIN, END = "<!-- account: begin -->", "<!-- account: end -->"
HEADER = ("| datagram | field | in the output |", "|---|---|---|")


def cells(row: Row) -> tuple[str, str, str]:
    """The cells of a row."""
    if row.place is not None:
        return row.type, row.fields, row.place
    named = " (named in `missing`)" if row.named else ""
    return row.type, row.fields, f"not converted{named}: {row.why}"


def tables() -> str:
    """All tables, with a heading each."""
    lines: list[str] = []
    for format_, rows in ACCOUNTS.items():
        lines += [f"### {format_}", "", *HEADER]
        lines += [f"| {' | '.join(cells(row))} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Replace the tables in the document."""
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
