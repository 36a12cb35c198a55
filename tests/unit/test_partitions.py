"""No part of the code is written for one partition of AWS."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("flows", "operations", "watchdog", "lambda_trigger", "sandbox")
# Where the domains of all partitions stand, and where the sandbox says in which it is.
ALLOWED = {"lambda_trigger/clients/aws_domains.py", "sandbox/stack/names.py"}


@pytest.mark.parametrize("part", PARTS)
def test_no_arn_and_no_domain_of_one_partition(part: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / part).rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"arn:aws[a-z-]*:", line)
        or ("amazonaws" in line and str(path.relative_to(ROOT)) not in ALLOWED)
    ]
    assert found == []
