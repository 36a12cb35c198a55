"""The stack in each of its variants."""

import pytest

from tests.template.stacks import VARIANTS, Translated, source_template, translate


@pytest.fixture(scope="session")
def stacks() -> dict[str, Translated]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        return {name: translate(source_template(), given) for name, given in VARIANTS.items()}
