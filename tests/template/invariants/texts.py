"""Names and descriptions contain only what their service accepts."""

from collections.abc import Iterator

from tests.template.accepted_texts import ACCEPTED, OF_PARAMETERS, OF_TEMPLATE, texts_of
from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated


@invariant
def names_and_descriptions_are_accepted_by_their_service(stack: Translated) -> Iterator[str]:
    for name, resource in stack.resources.items():
        accepted = ACCEPTED.get(resource["Type"], {})
        for path, text in texts_of(resource["Properties"]):
            if path not in accepted:
                yield f"{name}: no rule for {path} of {resource['Type']}"
                continue
            yield from (f"{name}.{path}: {fault}" for fault in accepted[path].faults(text))


@invariant
def descriptions_of_the_template_are_accepted_by_cloudformation(stack: Translated) -> Iterator[str]:
    source = stack.source
    yield from OF_TEMPLATE.faults(source["Description"])
    for section, longest in (("Parameters", OF_PARAMETERS), ("Outputs", OF_TEMPLATE)):
        for name, item in source[section].items():
            for part in ("Description", "ConstraintDescription"):
                yield from (f"{name}: {fault}" for fault in longest.faults(item.get(part, "")))
