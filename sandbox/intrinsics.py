"""Resolves CloudFormation's intrinsic functions the way a deployment would, without one.

Parameters, conditions and rules are decided as CloudFormation decides them.
Names that a template gives are taken from it; what AWS would make up (keys,
subnets) gets a name after its logical id. Source of the functions and of what
`Ref` and `Fn::GetAtt` return: "Template reference", CloudFormation user guide.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

# Anything JSON can say, with intrinsic functions in it or without.
Value = Any

_ABSENT = object()
_PLACE = re.compile(r"\$\{(!?)([A-Za-z0-9:.]+)\}")

# By type: the property that names the resource, and what `Ref` and attributes
# say. `{name}` is the resource's name, `{id}` its logical id.
_NAMES = {
    "AWS::Budgets::Budget": "BudgetName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ECS::Service": "ServiceName",
    "AWS::ECS::TaskDefinition": "Family",
    "AWS::Events::Rule": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::Serverless::Function": "FunctionName",
}
_ARNS = {
    "AWS::CloudWatch::Alarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::ECS::Cluster": "ecs:{region}:{account}:cluster/{name}",
    "AWS::ECS::TaskDefinition": "ecs:{region}:{account}:task-definition/{name}:1",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
    "AWS::Serverless::Function": "lambda:{region}:{account}:function:{name}",
}
_REF_IS_ARN = {"AWS::ECS::TaskDefinition", "AWS::SNS::Topic", "AWS::SecretsManager::Secret"}


class TemplateError(ValueError):
    """The template, or a value given to it, would not deploy: `where` and `problem`."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


@dataclass(frozen=True)
class Account:
    """Where a stack would be deployed."""

    stack_name: str = "echodrop"
    region: str = "us-east-1"
    account: str = "123456789012"
    partition: str = "aws"

    def pseudo_parameters(self) -> dict[str, str]:
        """Return what a template may refer to without declaring it."""
        return {
            "AWS::AccountId": self.account,
            "AWS::Partition": self.partition,
            "AWS::Region": self.region,
            "AWS::StackName": self.stack_name,
            "AWS::URLSuffix": "amazonaws.com",
        }


@dataclass
class Resolver:
    """Resolves values of one template for one set of parameters.

    Attributes:
        template: the template as parsed, short forms written out.
        parameters: values by name, checked; see `checked_parameters`.
        account: where the stack would be.
    """

    template: Mapping[str, Any]
    parameters: Mapping[str, str]
    account: Account = field(default_factory=Account)

    def condition(self, name: str) -> bool:
        """Decide a condition of the template.

        Raises:
            TemplateError: the template has no such condition.
        """
        conditions = self.template.get("Conditions", {})
        if name not in conditions:
            raise TemplateError(name, "no such condition")
        return self._truth(conditions[name])

    def exists(self, logical_id: str) -> bool:
        """Tell whether the stack would have this resource."""
        resource = self.template["Resources"].get(logical_id)
        if resource is None:
            return False
        return "Condition" not in resource or self.condition(resource["Condition"])

    def broken_rules(self) -> list[str]:
        """List what the template's rules say against these parameters."""
        return [
            assertion["AssertDescription"]
            for rule in self.template.get("Rules", {}).values()
            if "RuleCondition" not in rule or self._truth(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self._truth(assertion["Assert"])
        ]

    def resolve(self, value: Value) -> Value:
        """Return a value without intrinsic functions; what resolves to no value is left out.

        Raises:
            TemplateError: it refers to what the stack would not have.
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

    def _call(self, function: str, argument: Value) -> Value:  # noqa: PLR0911 - one way out for each function
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
                raise TemplateError(function, "not understood here")

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
            region, account = self.account.region, self.account.account
            return f"https://sqs.{region}.amazonaws.com/{account}/{resource_name}"
        if resource_type in _REF_IS_ARN:
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
        given = resource.get("Properties", {}).get(_NAMES.get(resource["Type"], ""))
        made_up = f"{self.account.stack_name}-{logical_id}"
        return resource["Type"], str(self.resolve(given)) if given else made_up

    def _arn(self, resource_type: str, name: str) -> str:
        if resource_type not in _ARNS:
            raise TemplateError(name, f"the ARN of {resource_type} is not known here")
        rest = _ARNS[resource_type].format(
            region=self.account.region, account=self.account.account, name=name
        )
        return f"arn:{self.account.partition}:{rest}"

    def _substitute(self, text: str, places: Mapping[str, Any]) -> str:
        def filled(place: re.Match[str]) -> str:
            literal, name = place.groups()
            if literal:
                return "${" + name + "}"
            if name in places:
                return str(self.resolve(places[name]))
            if "." in name:
                return self._attribute(*name.split(".", 1))
            return str(self._ref(name))

        return _PLACE.sub(filled, text)

    def _truth(self, expression: Mapping[str, Any]) -> bool:
        ((function, argument),) = expression.items()
        match function:
            case "Fn::Equals":
                left, right = map(self.resolve, argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._truth(argument[0])
            case "Fn::And":
                return all(map(self._truth, argument))
            case "Fn::Or":
                return any(map(self._truth, argument))
            case "Fn::Contains":
                choices, value = argument
                return str(self.resolve(value)) in map(str, self.resolve(choices))
            case "Condition":
                return self.condition(str(argument))
            case _:
                raise TemplateError(function, "not a condition that is understood here")


def checked_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter's value: the one given, else its default.

    Raises:
        TemplateError: a value is missing, unknown, or not what the template allows.
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
        raise TemplateError(name, f"{value!r} is none of {', '.join(allowed)}")
    if not re.fullmatch(declaration.get("AllowedPattern", ".*"), value):
        raise TemplateError(name, f"{value!r} does not match {declaration['AllowedPattern']}")
    if declaration["Type"] == "Number":
        if not re.fullmatch(r"-?[0-9]+", value):
            raise TemplateError(name, f"{value!r} is no whole number")
        low, high = (
            declaration.get("MinValue", int(value)),
            declaration.get("MaxValue", int(value)),
        )
        if not int(low) <= int(value) <= int(high):
            raise TemplateError(name, f"{value} is not within {low} to {high}")
