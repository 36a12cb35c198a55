"""Validates a template's parameters and resolves CloudFormation's intrinsic functions without a deployment.

Parameters, conditions and rules are evaluated as in CloudFormation. Resources that
the template does not name (keys, subnets) get a name from their logical id.
Source: "Template reference", CloudFormation user guide.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from sandbox.stack.names import REF_IS_ARN, AwsAccount

# JSON, with or without intrinsic functions.
Value = Any

_ABSENT = object()
# `${!Anything}` is written out as `${Anything}`.
_PLACEHOLDER = re.compile(r"\$\{(?:(!)([^}]+)|([A-Za-z0-9:.]+))\}")


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


@dataclass
class Resolver:
    """Resolves values of one template for one set of parameters.

    Attributes:
        template: the parsed template, with short forms expanded.
        parameters: values by name, from `checked_parameters`.
    """

    template: Mapping[str, Any]
    parameters: Mapping[str, str]
    account: AwsAccount = field(default_factory=AwsAccount)

    def condition(self, name: str) -> bool:
        """Evaluate a condition of the template.

        Raises:
            TemplateError: the template has no such condition.
        """
        conditions = self.template.get("Conditions", {})
        if name not in conditions:
            raise TemplateError(name, "no such condition")
        return self._evaluate(conditions[name])

    def exists(self, logical_id: str) -> bool:
        """Return whether the stack would have this resource."""
        resource = self.template["Resources"].get(logical_id)
        if resource is None:
            return False
        return "Condition" not in resource or self.condition(resource["Condition"])

    def name(self, logical_id: str) -> str:
        """Return a resource's name; a resource without a name gets one from its logical id.

        Raises:
            TemplateError: the stack would have no such resource.
        """
        return self._named(logical_id)[1]

    def broken_rules(self) -> list[str]:
        """Return the descriptions of the template's rules that the parameters break."""
        return [
            assertion["AssertDescription"]
            for rule in self.template.get("Rules", {}).values()
            if "RuleCondition" not in rule or self._evaluate(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self._evaluate(assertion["Assert"])
        ]

    def resolve(self, value: Value) -> Value:
        """Return a value with its intrinsic functions resolved; AWS::NoValue is removed.

        Raises:
            TemplateError: it refers to something that the stack would not have.
        """
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not _ABSENT]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(function, argument)
        items = ((key, self.resolve(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not _ABSENT}

    def _call(self, function: str, argument: Value) -> Value:  # noqa: PLR0911 - one return for each function
        match function:
            case "Ref":
                return self._ref(argument)
            case "Fn::If":
                name, yes, no = argument
                return self.resolve(yes if self.condition(name) else no)
            case "Fn::GetAtt":
                logical_id, attribute = (
                    argument if isinstance(argument, list) else argument.split(".", 1)
                )
                return self._attribute(logical_id, attribute)
            case "Fn::Sub":
                text, places = argument if isinstance(argument, list) else (argument, {})
                return self._substitute(text, places)
            case "Fn::Join":
                separator, items = argument
                return str(separator).join(map(str, self.resolve(items)))
            case "Fn::Split":
                separator, text = argument
                return str(self.resolve(text)).split(separator)
            case "Fn::Select":
                index, items = argument
                return self.resolve(items)[int(index)]
            case "Fn::GetAZs":
                return [self.account.region + letter for letter in "abc"]
            case "Fn::Cidr":
                block, count, bits = argument
                subnets = ip_network(self.resolve(block)).subnets(new_prefix=32 - int(bits))
                return [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]
            case _:
                raise TemplateError(function, "not supported")

    def _ref(self, name: str) -> Value:
        if name == "AWS::NoValue":
            return _ABSENT
        pseudo = self.account.pseudo_parameters()
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        resource_type, resource_name = self._named(name)
        if resource_type == "AWS::SQS::Queue":
            return f"{self.account.sqs}/{self.account.account}/{resource_name}"
        if resource_type in REF_IS_ARN:
            return self._arn(resource_type, resource_name)
        return resource_name

    def _attribute(self, logical_id: str, attribute: str) -> str:
        resource_type, name = self._named(logical_id)
        if attribute == "Arn":
            return self._arn(resource_type, name)
        if attribute in {"Name", "QueueName", "TopicName", "GroupId"}:
            return name
        if attribute == "CidrBlock":
            return str(self.template["Resources"][logical_id]["Properties"]["CidrBlock"])
        raise TemplateError(f"{logical_id}.{attribute}", f"no such attribute of {resource_type}")

    def _named(self, logical_id: str) -> tuple[str, str]:
        if not self.exists(logical_id):
            raise TemplateError(logical_id, "the stack would have no such resource or parameter")
        resource = self.template["Resources"][logical_id]
        properties = resource.get("Properties", {})
        naming = (f"{resource['Type'].rpartition('::')[2]}Name", "Name", "Family")
        given = next((properties[each] for each in naming if each in properties), None)
        generated = f"{self.account.stack_name}-{logical_id}"
        return resource["Type"], str(self.resolve(given)) if given else generated

    def _arn(self, resource_type: str, name: str) -> str:
        try:
            return self.account.arn(resource_type, name)
        except KeyError as error:
            raise TemplateError(name, f"the ARN format of {resource_type} is unknown") from error

    def _substitute(self, text: str, places: Mapping[str, Any]) -> str:
        def filled(place: re.Match[str]) -> str:
            literal, written, name = place.groups()
            if literal:
                return "${" + written + "}"
            if name in places:
                return str(self.resolve(places[name]))
            if "." in name:
                return self._attribute(*name.split(".", 1))
            return str(self._ref(name))

        return _PLACEHOLDER.sub(filled, text)

    def _evaluate(self, expression: Mapping[str, Any]) -> bool:
        ((function, argument),) = expression.items()
        match function:
            case "Fn::Equals":
                left, right = map(self.resolve, argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._evaluate(argument[0])
            case "Fn::And":
                return all(map(self._evaluate, argument))
            case "Fn::Or":
                return any(map(self._evaluate, argument))
            case "Fn::Contains":
                choices, value = argument
                return str(self.resolve(value)) in map(str, self.resolve(choices))
            case "Condition":
                return self.condition(str(argument))
            case _:
                raise TemplateError(function, "not a supported condition")
