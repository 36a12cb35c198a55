"""Limits on the stack's own rights from outside, and the rights of others in it."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tests.template.invariants.registry import invariant
from tests.template.stacks import Statement, Translated

READS = {"s3:GetObject", "s3:ListBucket"}
IN_TASKS = ("TaskRole", "OperationsRole", "WorkerRole", "ExecutionRole")


def own_bucket(stack: Translated, use: str) -> str:
    """Return the ARN of the bucket that an output of the stack names."""
    name = stack.resolver.resolve(stack.template["Outputs"][use]["Value"])
    return stack.bucket_arn(name)


def lets_through(statement: Statement, resource: str, action: str) -> bool:
    """Return whether an endpoint's statement allows a request with this account's credentials."""
    condition = statement.body.get("Condition", {})
    return (
        statement.allows
        and condition in ({}, {"StringEquals": {"aws:PrincipalAccount": "123456789012"}})
        and any(fnmatchcase(action, each) for each in statement.listed("Action"))
        and any(fnmatchcase(resource, each) for each in statement.listed("Resource"))
    )


@invariant
def tasks_reach_their_own_buckets_and_no_others(stack: Translated) -> Iterator[str]:
    statements = list(stack.statements())
    for name, endpoint in stack.of_type("AWS::EC2::VPCEndpoint").items():
        if "PolicyDocument" not in endpoint:
            yield f"{name} allows writing to any bucket"
        bounds = [each for each in statements if each.owner == name]
        for granted in (each for each in statements if each.owner.endswith(IN_TASKS)):
            wanted = [
                (resource, action)
                for resource in granted.listed("Resource")
                for action in granted.listed("Action")
                if action.startswith("s3:")
            ]
            for resource, action in wanted:
                if not any(lets_through(each, resource, action) for each in bounds):
                    yield f"{name} refuses {granted.owner} {action} on {resource}"
        layers = stack.bucket_arn(f"prod-{stack.account.region}-starport-layer-bucket")
        if not any(lets_through(each, f"{layers}/a", "s3:GetObject") for each in bounds):
            yield f"{name} allows no image pull"
        for bound in bounds:
            yield from _too_wide(stack, bound, layers)


def _too_wide(stack: Translated, bound: Statement, layers: str) -> Iterator[str]:
    own = {own_bucket(stack, "Inbox"), own_bucket(stack, "Output")}
    archives = set(stack.resolver.parameters["ArchiveBucketArns"].split(","))
    condition = bound.body.get("Condition", {})
    actions = set(bound.listed("Action"))
    if condition == {"StringEquals": {"aws:PrincipalType": "Anonymous"}}:
        if not actions <= READS:
            yield f"{bound.owner} allows changes of any bucket without credentials"
        return
    for resource in bound.listed("Resource"):
        bucket = resource.removesuffix("/*")
        reads = all(action.startswith(("s3:Get", "s3:List")) for action in actions)
        if bucket not in own and not (reads and bucket in {layers, *archives}):
            yield f"{bound.owner} allows {sorted(actions)} on {resource}"
    if actions != {"s3:GetObject"} and "aws:PrincipalAccount" not in json.dumps(condition):
        yield f"{bound.owner} accepts credentials of other accounts"


@invariant
def a_ship_may_upload_below_its_prefix_and_nothing_else(stack: Translated) -> Iterator[str]:
    needed = {"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
    documents = {
        name: policy["PolicyDocument"]
        for name, policy in stack.of_type("AWS::IAM::ManagedPolicy").items()
    }
    outputs = stack.template["Outputs"]
    if "UploaderPolicy" not in documents or "UploaderPolicyDocument" not in outputs:
        yield "a ship has no policy"
        return
    written = json.loads(stack.resolver.resolve(outputs["UploaderPolicyDocument"]["Value"]))
    if written != documents["UploaderPolicy"]:
        yield "the document of the output is not the policy"
    wanted = [(own_bucket(stack, "Inbox") + "/${aws:PrincipalTag/ship}/*", needed)]
    if key := stack.resolver.parameters["InboxKeyArn"]:
        wanted.append((key, {"kms:GenerateDataKey", "kms:Decrypt"}))
    for name, document in documents.items():
        granted = [
            (statement["Resource"], set(statement["Action"])) for statement in document["Statement"]
        ]
        if granted != wanted:
            yield f"{name} is not an upload below the ship's prefix"
        for statement in document["Statement"]:
            if "kms:Decrypt" in statement["Action"] and "kms:ViaService" not in json.dumps(
                statement.get("Condition", {})
            ):
                yield f"{name} uses the key for more than S3"
