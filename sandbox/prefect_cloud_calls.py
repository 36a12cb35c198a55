"""Which calls Prefect Cloud serves: the table that every call of the project is held to."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_suffix(".txt")


@cache
def served() -> frozenset[str]:
    """The calls that Prefect Cloud serves, as `POST /flow_runs/{id}/set_state`."""
    lines = _TABLE.read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Each call with what its requests look like; names in a path before places for any."""
    calls = sorted(served(), key=lambda call: call.count("{"))
    return tuple(
        (call, re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(call)))) for call in calls
    )


def served_call(method: str, path: str) -> str | None:
    """The call of the table that a request is one of; None where Cloud does not serve it.

    Args:
        method: such as POST.
        path: below the API's URL; a query is left out of account.
    """
    asked = f"{method} {path.partition('?')[0]}"
    return next((call for call, pattern in _patterns() if pattern.fullmatch(asked)), None)
