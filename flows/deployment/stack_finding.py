"""The findings of a check of a deployed stack, or of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of one check: what is wrong with the subject, and the command that fixes it.

    `note`: information for people without a problem, or why it could not be checked.
    """

    subject: str
    problem: str | None = None
    fix: str | None = None
    note: str | None = None


def report(
    findings: Iterable[Finding], say: Callable[[str], object], word: str = "MISSING"
) -> bool:
    """Print each finding, a problem after `word`; return whether there is no problem."""
    good = True
    for finding in findings:
        if finding.problem is not None:
            good = False
            say(f"{word:8} {finding.subject}: {finding.problem}")
        elif finding.note is not None:
            say(f"NOTE     {finding.subject}: {finding.note}")
        else:
            say(f"ok       {finding.subject}")
            continue
        if finding.fix:
            say(f"         {finding.fix}")
    return good
