"""The account of every datagram, without echopype: intact, damaged, or another format. Imports core."""

from flows.walk.rows import check_rows
from flows.walk.summary import FileSummary
from flows.walk.verdict import decide
from flows.walk.walk import preflight
from flows.walk.whole_part import write_whole_part

__all__ = [
    "FileSummary",
    "check_rows",
    "decide",
    "preflight",
    "write_whole_part",
]
