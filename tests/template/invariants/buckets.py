"""Data are not public, are kept, and are notified."""

from collections.abc import Iterator

from lambda_trigger.decisions.notifications import EVENTBRIDGE_UPLOADS
from lambda_trigger.decisions.outcomes import RESTORED
from sandbox.stack.intrinsics import Resolver, checked_parameters
from tests.template.invariants.registry import archives, invariant
from tests.template.stacks import EXISTING, Translated

# Objects that are written for people or for the system itself, and are not outputs.
NOTES = (".echodrop/incidents/", ".echodrop/reconcile/", ".echodrop/inventory/")


@invariant
def buckets_are_closed_to_the_public(stack: Translated) -> Iterator[str]:
    flags = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        blocked = bucket.get("PublicAccessBlockConfiguration", {})
        if not all(blocked.get(flag) is True for flag in flags):
            yield f"{name} may become public"


@invariant
def an_overwritten_upload_can_be_restored(stack: Translated) -> Iterator[str]:
    inbox = stack.of_type("AWS::S3::Bucket").get("InboxBucket")
    if inbox and inbox.get("VersioningConfiguration", {}).get("Status") != "Enabled":
        yield "the inbox keeps no versions"


@invariant
def unfinished_uploads_expire(stack: Translated) -> Iterator[str]:
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        if not any(
            "AbortIncompleteMultipartUpload" in rule and rule["Status"] == "Enabled"
            for rule in rules
        ):
            yield f"{name} keeps unfinished uploads"


@invariant
def current_objects_never_expire(stack: Translated) -> Iterator[str]:
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        for rule in bucket.get("LifecycleConfiguration", {}).get("Rules", []):
            notes = str(rule.get("Prefix", "")).endswith(NOTES)
            if any(key.startswith("Expiration") for key in rule) and not notes:
                yield f"{name}: rule {rule['Id']} deletes data"


@invariant
def notes_expire(stack: Translated) -> Iterator[str]:
    prefix = stack.resolver.resolve({"Ref": "OutputPrefix"})
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        kept = {rule["Prefix"] for rule in rules if rule.get("ExpirationInDays")}
        for note in NOTES:
            if name == "OutputBucket" and prefix + note not in kept:
                yield f"{name} keeps {prefix + note} forever"


@invariant
def data_and_keys_outlive_the_stack(stack: Translated) -> Iterator[str]:
    types = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SecretsManager::Secret"}
    for name, resource in stack.resources.items():
        if resource["Type"] in types:
            # A stack that fails during creation has no data yet, and its remains would
            # have the names that the next attempt needs.
            if resource.get("DeletionPolicy") != "RetainExceptOnCreate":
                yield f"{name} is deleted with the stack, or outlives a failed creation"
            if resource.get("UpdateReplacePolicy") != "Retain":
                yield f"{name} is deleted when it is replaced"


@invariant
def output_is_never_input(stack: Translated) -> Iterator[str]:
    same = EXISTING | {"InboxBucketName": "survey", "OutputBucketName": "survey"}
    template = stack.template
    if not Resolver(template, checked_parameters(template, same)).broken_rules():
        yield "one bucket is accepted for both"
    names = [bucket["BucketName"] for bucket in stack.of_type("AWS::S3::Bucket").values()]
    if len(set(names)) != len(names):
        yield "both buckets have one name"


@invariant
def every_upload_is_notified(stack: Translated) -> Iterator[str]:
    outputs = stack.template["Outputs"]
    inbox = stack.resolver.resolve(outputs["Inbox"]["Value"])
    wanted = {
        "source": ["aws.s3"],
        "detail-type": list(EVENTBRIDGE_UPLOADS),
        "detail": {"bucket": {"name": [inbox]}},
    }
    for name in ("UploadRule", "UploadArchive"):
        if stack.resources[name]["Properties"]["EventPattern"] != wanted:
            yield f"{name} does not match every upload"
    bucket = stack.of_type("AWS::S3::Bucket").get("InboxBucket", {})
    eventbridge = bucket.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
    if bucket and eventbridge.get("EventBridgeEnabled") is not True:
        yield "the inbox does not notify EventBridge"


@invariant
def a_restored_object_of_an_archive_is_notified(stack: Translated) -> Iterator[str]:
    notified = {
        bucket
        for rule in stack.of_type("AWS::Events::Rule").values()
        if rule.get("EventPattern", {}).get("detail-type") == [RESTORED]
        and [target["Arn"] for target in rule["Targets"]] == [stack.arn("UploadQueue")]
        for bucket in rule["EventPattern"]["resources"]
    }
    if notified != set(archives(stack)):
        yield f"restores are notified of {sorted(notified)}, archives are {archives(stack)}"


@invariant
def created_buckets_are_encrypted_with_the_given_key(stack: Translated) -> Iterator[str]:
    for name, parameter in (("InboxBucket", "InboxKeyArn"), ("OutputBucket", "OutputKeyArn")):
        bucket, key = (
            stack.of_type("AWS::S3::Bucket").get(name),
            stack.resolver.resolve({"Ref": parameter}),
        )
        if bucket is None:
            continue
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        default = rule["ServerSideEncryptionByDefault"]
        if default.get("KMSMasterKeyID", "") != key:
            yield f"{name} is encrypted with {default}, the key given is {key or 'none'}"
        # Without it each chunk of a store needs a request to KMS.
        if key and rule.get("BucketKeyEnabled") is not True:
            yield f"{name} uses its key for every object"
