"""The stack satisfies every invariant, with created and existing resources, in each partition."""

import pytest

from tests.template.invariants.everything import INVARIANTS
from tests.template.stacks import ELSEWHERE, VARIANTS, Translated


@pytest.mark.parametrize("variant", [*VARIANTS, *ELSEWHERE])
def test_stack_keeps_all_invariants(
    variant: str, stacks: dict[str, Translated], stacks_elsewhere: dict[str, Translated]
) -> None:
    stack = (stacks | stacks_elsewhere)[variant]
    broken = {name: list(check(stack)) for name, check in INVARIANTS.items()}
    assert {name: found for name, found in broken.items() if found} == {}
