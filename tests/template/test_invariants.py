"""The stack keeps every promise, whatever is made and whatever exists before it."""

import pytest

from tests.template.invariants.everything import INVARIANTS
from tests.template.stacks import VARIANTS, Translated


@pytest.mark.parametrize("name", INVARIANTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_stack_keeps(name: str, variant: str, stacks: dict[str, Translated]) -> None:
    assert list(INVARIANTS[name](stacks[variant])) == []
