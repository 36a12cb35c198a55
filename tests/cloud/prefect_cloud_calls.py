"""The API calls that Prefect Cloud serves. Tests check every call of the project against them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_suffix(".txt")


@cache
def served() -> frozenset[str]:
    """Return the calls that Prefect Cloud serves, such as `POST /flow_runs/{id}/set_state`."""
    lines = _TABLE.read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return each call with a pattern of its requests; paths with fewer placeholders come first."""
    calls = sorted(served(), key=lambda call: call.count("{"))
    return tuple(
        (call, re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(call)))) for call in calls
    )


def served_call(method: str, path: str) -> str | None:
    """Return the call that a request makes, or None if Cloud does not serve it.

    Args:
        method: such as POST.
        path: path relative to the API's URL; a query is ignored.
    """
    request = f"{method} {path.partition('?')[0]}"
    return next((call for call, pattern in _patterns() if pattern.fullmatch(request)), None)
