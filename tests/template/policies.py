"""Decides whether policies allow a request, as IAM does, for the elements that the template uses.

A matching deny wins; otherwise a matching allow allows it. Source:
"Policy evaluation logic" and "IAM JSON policy elements", IAM user guide.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Body = Mapping[str, Any]


class NotEvaluatedError(Exception):
    """The policy contains an element that is not evaluated here: `element`."""

    def __init__(self, element: str) -> None:
        super().__init__(f"{element} is not evaluated here")
        self.element = element


@dataclass(frozen=True)
class AccessRequest:
    """A request of a principal to a resource.

    Attributes:
        principal: a service such as `events.amazonaws.com`, or the ARN of an account or a role.
        action: with its service, such as `sns:Publish`.
        resource: an ARN.
        keys: all condition keys of the request.
    """

    principal: str
    action: str
    resource: str
    keys: Mapping[str, str] = field(default_factory=dict)


def lets_through(bodies: Iterable[Body], request: AccessRequest) -> bool:
    """Return whether the statements of a policy allow a request.

    Raises:
        NotEvaluatedError: a statement has an element that is not evaluated here.
    """
    effects = {body["Effect"] for body in bodies if _applies(body, request)}
    return effects == {"Allow"}


def _applies(body: Body, request: AccessRequest) -> bool:
    for element in ("NotPrincipal", "NotAction", "NotResource"):
        if element in body:
            raise NotEvaluatedError(element)
    return (
        _names_principal(body, request.principal)
        and any(_like(action, request.action, re.IGNORECASE) for action in _listed(body["Action"]))
        # A role's trust policy names no resource: its resource is the role.
        and any(_like(each, request.resource) for each in _listed(body.get("Resource", "*")))
        and all(_holds(*test, request.keys) for test in _tests(body))
    )


def _names_principal(body: Body, principal: str) -> bool:
    named = body.get("Principal")
    # A role's own policy names no principal: its principal is the role.
    if named is None or named == "*":
        return True
    return any(
        name in {"*", principal}
        for kind in ("Service", "AWS")
        for name in _listed(named.get(kind, []))
    )


def _tests(body: Body) -> Iterator[tuple[str, str, list[str]]]:
    for operator, keys in body.get("Condition", {}).items():
        for key, values in keys.items():
            yield operator, key, [str(value) for value in _listed(values)]


def _holds(operator: str, key: str, values: list[str], keys: Mapping[str, str]) -> bool:
    name = operator.removesuffix("IfExists")
    negated = name.replace("Not", "", 1) if "Not" in name else None
    compare = _COMPARE.get(negated or name)
    if compare is None:
        raise NotEvaluatedError(operator)
    # Names of condition keys are case-insensitive.
    sent = {each.lower(): value for each, value in keys.items()}.get(key.lower())
    if sent is None:
        return negated is not None or operator.endswith("IfExists")
    matches = any(compare(value, sent) for value in values)
    return matches is (negated is None)


def _like(pattern: str, text: str, flags: int = 0) -> bool:
    written = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(written, text, flags | re.DOTALL) is not None


def _arn_like(pattern: str, text: str) -> bool:
    """Compare part by part: a star does not match a colon, except in the last part."""
    patterns, parts = pattern.split(":", 5), text.split(":", 5)
    return len(patterns) == len(parts) and all(map(_like, patterns, parts))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, sent: value == sent,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda value, sent: value.lower() == sent.lower(),
}
