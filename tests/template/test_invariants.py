"""The stack satisfies every invariant, with created and with existing resources."""

import pytest

from tests.template.invariants.everything import INVARIANTS
from tests.template.stacks import ELSEWHERE, VARIANTS, Translated


@pytest.mark.parametrize("name", INVARIANTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_stack_keeps(name: str, variant: str, stacks: dict[str, Translated]) -> None:
    assert list(INVARIANTS[name](stacks[variant])) == []


@pytest.mark.parametrize("place", ELSEWHERE)
def test_stack_keeps_all_invariants_in_other_partitions(
    place: str, stacks_elsewhere: dict[str, Translated]
) -> None:
    broken = {name: list(check(stacks_elsewhere[place])) for name, check in INVARIANTS.items()}
    assert {name: found for name, found in broken.items() if found} == {}
