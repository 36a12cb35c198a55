"""The stack keeps every promise, whatever is made and whatever exists before it."""

import pytest

from tests.template.invariants.everything import INVARIANTS
from tests.template.stacks import VARIANTS, Translated, source_template, translate


@pytest.fixture(scope="module")
def stacks() -> dict[str, Translated]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        return {name: translate(source_template(), given) for name, given in VARIANTS.items()}


@pytest.mark.parametrize("name", INVARIANTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_stack_keeps(name: str, variant: str, stacks: dict[str, Translated]) -> None:
    assert list(INVARIANTS[name](stacks[variant])) == []
