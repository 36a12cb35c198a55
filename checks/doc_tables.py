"""Writes the generated tables of the documentation; tests compare them.

    python -m checks.doc_tables

docs/data-formats.md has the account of `flows/walk/accounts`, docs/deploy.md the parameters of template.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.walk.accounts.row import Row
from flows.walk.accounts.table import ACCOUNTS
from sandbox.stack.template import TEMPLATE, read_template

DOCUMENT, PAGE = (TEMPLATE.parent / "docs" / name for name in ("data-formats.md", "deploy.md"))
HEADER = ("| datagram | field | in the output |", "|---|---|---|")


def markers(table: str) -> tuple[str, str]:
    """The lines before and after a generated table."""
    return f"<!-- {table}: python -m checks.doc_tables -->", f"<!-- end of {table} -->"


def cells(row: Row) -> tuple[str, str, str]:
    """The cells of a row of the account."""
    if row.place is not None:
        return row.type, row.fields, row.place
    named = " (named in `missing`)" if row.named else ""
    return row.type, row.fields, f"not converted{named}: {row.why}"


def account_tables() -> str:
    """All tables of the account, with a heading each."""
    lines = [""]
    for format_, rows in ACCOUNTS.items():
        lines += [f"### {format_}", "", *HEADER]
        lines += [f"| {' | '.join(cells(row))} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def parameter_table(template: Mapping[str, Any]) -> str:
    """Return the Markdown table with a row for each parameter, in sam's order.

    Raises:
        KeyError: a parameter in a group is not declared or has no description.
    """
    declared = dict(template["Parameters"])
    lines = ["| parameter | default | what it means |", "|---|---|---|"]
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        lines.append(f"| **{group['Label']['default']}** | | |")
        lines += [_parameter(name, declared.pop(name)) for name in group["Parameters"]]
    return "\n".join([*lines, *(_parameter(*each) for each in declared.items())])


def _parameter(name: str, declaration: Mapping[str, Any]) -> str:
    default = declaration.get("Default")
    without = "required" if default is None else f"`{default}`" if default != "" else "empty"
    words = [str(declaration["Description"]).rstrip(".") + "."]
    if choices := declaration.get("AllowedValues"):
        words.append(f"One of {', '.join(map(str, choices))}.")
    elif "MinValue" in declaration:
        words.append(f"{declaration['MinValue']} to {declaration['MaxValue']}.")
    meaning = " ".join(words).replace("|", "\\|")
    return f"| `{name}` | {without} | {meaning} |"


def with_table(page: str, name: str, table: str) -> str:
    """Return the page with this table between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = markers(name)
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def main() -> None:
    """Write the tables."""
    tables = (
        (DOCUMENT, "account", account_tables()),
        (
            PAGE,
            "parameters",
            parameter_table(read_template()),
        ),
    )
    for page, name, table in tables:
        page.write_text(with_table(page.read_text("utf-8"), name, table), "utf-8")


if __name__ == "__main__":
    main()
