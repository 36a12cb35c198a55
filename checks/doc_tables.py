"""Writes the table of template.yaml's parameters into docs/deploy.md; a test compares it.

python -m checks.doc_tables
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.stack.template import TEMPLATE, read_template

PAGE = TEMPLATE.parent / "docs" / "deploy.md"
BEGIN, END = "<!-- parameters: python -m checks.doc_tables -->", "<!-- end of parameters -->"


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


def with_table(page: str, table: str) -> str:
    """Return the page with this table between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> None:
    """Write the table."""
    table = parameter_table(read_template())
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), table), "utf-8")


if __name__ == "__main__":
    main()
