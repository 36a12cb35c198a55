"""Checks a raw file before it is parsed: intact, damaged, or in another format."""

from flows.preflight.parsed_pings import compare_pings
from flows.preflight.rows import check_rows
from flows.preflight.summary import FORMAT_OF_MODEL, FileSummary
from flows.preflight.verdict import decide
from flows.preflight.walk import preflight
from flows.preflight.whole_part import write_whole_part

__all__ = [
    "FORMAT_OF_MODEL",
    "FileSummary",
    "check_rows",
    "compare_pings",
    "decide",
    "preflight",
    "write_whole_part",
]
