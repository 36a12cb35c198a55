from __future__ import annotations

from collections.abc import Callable

import pytest

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.transport_errors import ConfigurationError, UnavailableError
from lambda_trigger.settings import KEPT_FOR, RulesSource

DOCUMENT = """
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
[[prefix]]
prefix = ""
deployment = "f/d"
"""


class Store:
    """The parameter store, and a clock that the test sets."""

    def __init__(self) -> None:
        self.text: str | None = DOCUMENT
        self.reads = 0
        self.now = 0.0
        self.source = RulesSource(self.read, clock=lambda: self.now)

    def read(self, _: Deadline) -> str:
        self.reads += 1
        if self.text is None:
            raise UnavailableError("ssm", "GetParameter", "away")
        return self.text

    def output_bucket(self) -> str:
        return self.source.current(Deadline(5)).output_bucket


def test_an_edit_takes_effect_after_a_minute() -> None:
    store = Store()
    assert store.output_bucket() == "output"
    store.text = DOCUMENT.replace('"output"', '"another"')
    store.now = KEPT_FOR - 1
    assert store.output_bucket() == "output"
    assert store.reads == 1
    store.now = KEPT_FOR
    assert store.output_bucket() == "another"


def test_during_an_outage_the_rules_stay_and_ssm_is_not_overloaded() -> None:
    store = Store()
    store.output_bucket()
    store.text = None
    store.now = KEPT_FOR
    assert [store.output_bucket() for _ in range(3)] == ["output"] * 3
    assert store.reads == 2


@pytest.mark.parametrize(
    ("edit", "error"),
    [(lambda _: None, UnavailableError), (lambda text: text + "x", ConfigurationError)],
)
def test_without_rules_no_record_is_settled(
    edit: Callable[[str], str | None], error: type[Exception]
) -> None:
    store = Store()
    store.text = edit(DOCUMENT)
    with pytest.raises(error):
        store.output_bucket()
    store.text = DOCUMENT
    assert store.output_bucket() == "output"


def test_a_wrong_edit_fails_until_it_is_corrected() -> None:
    store = Store()
    store.output_bucket()
    store.text = DOCUMENT.replace("version = 1", "version = one")
    store.now = KEPT_FOR
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="line 2"):
            store.output_bucket()
    store.text = DOCUMENT
    assert store.output_bucket() == "output"
