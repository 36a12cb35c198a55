"""Validates a template's parameters as CloudFormation does."""

import re
from collections.abc import Mapping
from typing import Any


class TemplateError(ValueError):
    """The template or a parameter value is invalid: `where` and `problem`."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


def checked_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter's value: the given one or its default.

    Raises:
        TemplateError: a value is missing, unknown or not allowed.
    """
    declared = template.get("Parameters", {})
    if unknown := sorted(set(given) - set(declared)):
        raise TemplateError(unknown[0], "the template has no such parameter")
    values: dict[str, str] = {}
    for name, declaration in declared.items():
        if name not in given and "Default" not in declaration:
            raise TemplateError(name, "needs a value")
        values[name] = str(given.get(name, declaration.get("Default")))
        _check_parameter(name, values[name], declaration)
    return values


def _check_parameter(name: str, value: str, declaration: Mapping[str, Any]) -> None:
    allowed = [str(choice) for choice in declaration.get("AllowedValues", [value])]
    if value not in allowed:
        raise TemplateError(name, f"{value!r} is not one of {', '.join(allowed)}")
    if not re.fullmatch(declaration.get("AllowedPattern", ".*"), value):
        raise TemplateError(name, f"{value!r} does not match {declaration['AllowedPattern']}")
    if declaration["Type"] == "Number":
        if not re.fullmatch(r"-?[0-9]+", value):
            raise TemplateError(name, f"{value!r} is not a whole number")
        low, high = (
            declaration.get("MinValue", int(value)),
            declaration.get("MaxValue", int(value)),
        )
        if not int(low) <= int(value) <= int(high):
            raise TemplateError(name, f"{value} is not within {low} to {high}")
