"""Nothing is stored or sent unencrypted."""

from collections.abc import Iterator

from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated


@invariant
def everything_is_encrypted_at_rest(stack: Translated) -> Iterator[str]:
    at_rest = {
        "AWS::SQS::Queue": ("SqsManagedSseEnabled", "KmsMasterKeyId"),
        "AWS::SNS::Topic": ("KmsMasterKeyId",),
        "AWS::Logs::LogGroup": ("KmsKeyId",),
        "AWS::S3::Bucket": ("BucketEncryption",),
    }
    for resource_type, settings in at_rest.items():
        for name, properties in stack.of_type(resource_type).items():
            if not any(properties.get(setting) for setting in settings):
                yield f"{name} is not encrypted"
    for name, key in stack.of_type("AWS::KMS::Key").items():
        if key.get("EnableKeyRotation") is not True:
            yield f"{name}: never rotated"


@invariant
def only_tls_is_accepted(stack: Translated) -> Iterator[str]:
    closed = {
        resource
        for statement in stack.statements()
        if not statement.allows
        and statement.body.get("Principal") == "*"
        and statement.body.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for resource in statement.listed("Resource")
    }
    for name in stack.of_type("AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket"):
        if stack.arn(name) not in closed:
            yield f"{name} answers without TLS"
    for name in stack.of_type("AWS::S3::Bucket"):
        if stack.arn(name) + "/*" not in closed:
            yield f"{name}'s objects are served without TLS"


@invariant
def no_incoming_traffic_is_allowed(stack: Translated) -> Iterator[str]:
    for name, group in stack.of_type("AWS::EC2::SecurityGroup").items():
        if "SecurityGroupIngress" in group:
            yield f"{name} allows incoming traffic"
        for rule in group.get("SecurityGroupEgress", [{"IpProtocol": "-1"}]):
            if rule["IpProtocol"] != "tcp" or rule["FromPort"] != rule["ToPort"]:
                yield f"{name} allows more than one port out in a rule"
    yield from (
        f"{name} allows incoming traffic"
        for name in stack.of_type("AWS::EC2::SecurityGroupIngress")
    )
    for name, subnet in stack.of_type("AWS::EC2::Subnet").items():
        if subnet.get("MapPublicIpOnLaunch") is not False:
            yield f"{name} gives public addresses by default"
