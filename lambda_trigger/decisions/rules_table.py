"""Reads TOML tables; every error names its line."""

import re
from typing import Any, NoReturn

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\"' -]+?)\s*\]\]?\s*(#.*)?$")


class RulesError(ValueError):
    """The rules document is wrong: `line` (from 1) and `problem`."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"rules document, line {line}: {problem}")
        self.line = line
        self.problem = problem


class RulesTable:
    """Reads values from parsed tables and finds the line of a wrong one."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()

    def tables(self, document: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """Read [[name]]; empty if it is missing. Raises RulesError."""
        tables = document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.wrong(name, f"{name} must be written as [[{name}]] tables")
        return tables

    def table(self, document: dict[str, Any], name: str, known: tuple[str, ...]) -> dict[str, Any]:
        """Read [name]; empty if it is missing. Only `known` names are allowed. Raises RulesError."""
        table = document.get(name, {})
        if not isinstance(table, dict):
            self.wrong(name, f"{name} must be a table, [{name}]")
        self.only(table, known, name)
        return table

    def text(
        self,
        table: dict[str, Any],
        name: str,
        default: str | None,
        section: str = "",
        index: int = 0,
    ) -> str:
        """Read a string; with the default None it is required. Raises RulesError."""
        value = table.get(name, default)
        if value is None:
            self.wrong(name, f"{name} is missing", section, index)
        if not isinstance(value, str):
            self.wrong(name, f"{name} must be text in quotes", section, index)
        return value

    def number(
        self,
        table: dict[str, Any],
        name: str,
        default: float,
        section: str,
        *,
        whole: bool = False,
    ) -> float:
        """Read a number above 0. Raises RulesError."""
        value = table.get(name, default)
        kinds = int if whole else (int, float)
        # not > 0 is also true of nan.
        if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:
            kind = "whole number" if whole else "number"
            self.wrong(name, f"{name} must be a {kind} above 0", section)
        return float(value) if not whole else value

    def only(
        self, table: dict[str, Any], known: tuple[str, ...], section: str = "", index: int = 0
    ) -> None:
        """Refuse unknown names. Raises RulesError."""
        for name in table:
            if name not in known:
                self.wrong(
                    name,
                    f"{name!r} is not known here; known are {', '.join(known)}",
                    section,
                    index,
                )

    def wrong(self, name: str, problem: str, section: str = "", index: int = 0) -> NoReturn:
        """Refuse the document for a name's value in the index-th table of this section."""
        raise RulesError(self.line_of(name, section, index), problem)

    def line_of(self, name: str, section: str, index: int) -> int:
        """Find the line of a name in the index-th table of this section, or else the table's line."""
        within, seen, header_line = section == "", -1, 1
        named = re.compile(rf"\s*[\"']?{re.escape(name)}[\"']?\s*[.=]")
        table = re.compile(rf"\s*\[\[?\s*{re.escape(name)}\s*[\].]")
        for number, line in enumerate(self.lines, start=1):
            header = _HEADER.match(line)
            if header:
                inside = header[2] == section or header[2].startswith(f"{section}.")
                seen += header[2] == section
                within = bool(section) and inside and seen == index
                if header[2] == section and seen == index:
                    header_line = number
                if table.match(line) and not section:
                    return number
            elif within and named.match(line):
                return number
        return header_line
