"""What a check of a deployed stack says of one thing that it looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        subject: what was looked at.
        problem: what is wrong with it; None where it is as it should be.
        mend: what to type.
        note: what a person should know although nothing is wrong, or why it could not be looked at.
    """

    subject: str
    problem: str | None = None
    mend: str | None = None
    note: str | None = None


def report(findings: Iterable[Finding], say: Callable[[str], object]) -> bool:
    """Say each finding; return whether no problem is among them."""
    good = True
    for finding in findings:
        if finding.problem is not None:
            good = False
            say(f"MISSING  {finding.subject}: {finding.problem}")
        elif finding.note is not None:
            say(f"NOTE     {finding.subject}: {finding.note}")
        else:
            say(f"ok       {finding.subject}")
            continue
        if finding.mend:
            say(f"         {finding.mend}")
    return good
