"""Each role reads only its own credential, and only its secret contains it."""

import json
from collections.abc import Iterator

from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated


@invariant
def credentials_are_only_referred_to(stack: Translated) -> Iterator[str]:
    for name, declaration in stack.source["Parameters"].items():
        if declaration.get("NoEcho"):
            yield f"parameter {name} takes a secret"
    if "{{resolve:" in json.dumps(stack.source):
        yield "a dynamic reference would write the secret into a property"
    environments: list[tuple[str, str, object]] = [
        (name, key, value)
        for name, function in stack.of_type("AWS::Lambda::Function").items()
        for key, value in function.get("Environment", {}).get("Variables", {}).items()
    ]
    for name, definition in stack.of_type("AWS::ECS::TaskDefinition").items():
        for container in definition["ContainerDefinitions"]:
            environments += [
                (name, item["Name"], item["Value"]) for item in container.get("Environment", [])
            ]
    for name, key, value in environments:
        is_reference = key.endswith("_ARN") and str(value).startswith("arn:")
        if not is_reference and any(
            word in key for word in ("KEY", "SECRET", "AUTH", "PASSWORD", "TOKEN")
        ):
            yield f"{name} holds {key} in its environment"
    for name, secret in stack.of_type("AWS::SecretsManager::Secret").items():
        if "SecretString" in secret:
            yield f"{name}'s value is in the template"


# By role: the parameter that names its own secret.
CREDENTIALS = {
    "TriggerRole": "TriggerSecretArn",
    "WatchdogRole": "WatchdogSecretArn",
    "WorkerExecutionRole": "WorkerSecretArn",
    "ExecutionRole": "TaskSecretArn",
}


@invariant
def each_role_gets_only_its_own_credential(stack: Translated) -> Iterator[str]:
    auth = stack.resolver.resolve({"Ref": "PrefectAuth"})
    variable = {"api_key": "PREFECT_API_KEY", "auth_string": "PREFECT_API_AUTH_STRING"}.get(auth)
    common = (
        stack.resolver.resolve({"Ref": "PrefectSecret"})
        if "PrefectSecret" in stack.resources
        else stack.resolver.resolve({"Ref": "PrefectSecretArn"})
    )
    own = {
        role: stack.resolver.resolve({"Ref": parameter}) or common
        for role, parameter in CREDENTIALS.items()
    }
    grants = {
        (statement.owner, secret)
        for statement in stack.statements()
        if statement.allows and "secretsmanager:GetSecretValue" in statement.listed("Action")
        for secret in statement.listed("Resource")
    }
    for role, secret in sorted(grants ^ (set(own.items()) if variable else set())):
        yield f"{role} reads {secret} besides its own" if variable else f"{role} reads {secret}"
    given: list[tuple[str, object, object]] = []
    for name, definition in stack.of_type("AWS::ECS::TaskDefinition").items():
        secret = own.get(str(stack.named(definition["ExecutionRoleArn"])))
        wanted = [{"Name": variable, "ValueFrom": f"{secret}:{auth}::"}] if variable else []
        given += [
            (name, each.get("Secrets", []), wanted) for each in definition["ContainerDefinitions"]
        ]
    for name, role in (("Trigger", "TriggerRole"), ("Watchdog", "WatchdogRole")):
        environment = stack.of_type("AWS::Lambda::Function")[name]["Environment"]["Variables"]
        found = environment.get("PREFECT_AUTH_SECRET_ARN")
        given.append((name, found, own[role] if variable else None))
    operators = stack.resolver.resolve(stack.template["Outputs"]["PrefectSecretName"]["Value"])
    given.append(("the operator", operators, own["ExecutionRole"] if variable else ""))
    for name, found, wanted_of_it in given:
        if found != wanted_of_it:
            yield f"{name} gets {found}"


@invariant
def every_created_secret_is_read(stack: Translated) -> Iterator[str]:
    read = {
        secret
        for statement in stack.statements()
        if "secretsmanager:GetSecretValue" in statement.listed("Action")
        for secret in statement.listed("Resource")
    }
    for name in stack.of_type("AWS::SecretsManager::Secret"):
        if stack.resolver.resolve({"Ref": name}) not in read:
            yield f"{name} is never read"
