"""The stack in each of its variants."""

import pytest

from tests.template.stacks import ELSEWHERE, VARIANTS, Translated, source_template, translate


@pytest.fixture(scope="session")
def stacks() -> dict[str, Translated]:
    return {name: translate(source_template(), given) for name, given in VARIANTS.items()}


@pytest.fixture(scope="session")
def stacks_elsewhere() -> dict[str, Translated]:
    return {
        name: translate(source_template(), given, account)
        for name, (given, account) in ELSEWHERE.items()
    }
