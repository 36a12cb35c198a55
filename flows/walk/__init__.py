"""The account of every datagram, without echopype: intact, damaged, or another format. Imports core."""

from flows.walk.summary import FileSummary, check_rows
from flows.walk.walk import decide, preflight, write_whole_part

__all__ = [
    "FileSummary",
    "check_rows",
    "decide",
    "preflight",
    "write_whole_part",
]
