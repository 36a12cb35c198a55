"""docs/deploy.md agrees with the template."""

import pytest

from checks.doc_tables import PAGE, parameter_table, with_table
from tests.template.stacks import source_template


def test_the_page_has_every_parameter_as_the_template_has_it() -> None:
    page = PAGE.read_text("utf-8")
    written = with_table(page, parameter_table(source_template()))
    assert page == written, "run .venv/bin/python -m checks.doc_tables"


def test_a_parameter_without_a_group_is_in_the_table_too() -> None:
    template = source_template()
    template["Parameters"]["NewOne"] = {
        "Type": "String",
        "Description": "What it does",
        "Default": "x",
    }
    assert "| `NewOne` | `x` | What it does. |" in parameter_table(template)


def test_every_parameter_is_in_one_group() -> None:
    template = source_template()
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        with_table("# A page\n", "")
