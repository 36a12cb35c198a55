"""Writes the table of template.yaml's parameters into docs/deploy.md.

python -m checks.parameter_table
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.stack.template import TEMPLATE, read_template

PAGE = TEMPLATE.parent / "docs" / "deploy.md"
BEGIN = "<!-- parameters: .venv/bin/python -m checks.parameter_table -->\n"
END = "<!-- end of parameters -->\n"


def parameter_table(template: Mapping[str, Any]) -> str:
    """Return the Markdown table with a row for each parameter, in sam's order.

    Raises:
        KeyError: a parameter in a group is not declared or has no description.
    """
    declared = template["Parameters"]
    lines = ["| parameter | default | what it means |", "|---|---|---|"]
    shown: set[str] = set()
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        lines.append(f"| **{group['Label']['default']}** | | |")
        for name in group["Parameters"]:
            lines.append(_row(name, declared[name]))
            shown.add(name)
    lines += [_row(name, declared[name]) for name in declared if name not in shown]
    return "\n".join(lines) + "\n"


def _row(name: str, declaration: Mapping[str, Any]) -> str:
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
    """Return the page with this table between its two markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}{table}{END}{after}"


def main(page: Path = PAGE) -> None:
    """Update the table if it has changed."""
    text = page.read_text("utf-8")
    wanted = with_table(text, parameter_table(read_template()))
    if wanted != text:
        page.write_text(wanted, "utf-8")
        sys.stdout.write(f"{page.name}: table written\n")


if __name__ == "__main__":
    main()
