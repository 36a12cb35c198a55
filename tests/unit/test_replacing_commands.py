"""No command that the project prints, documents or calls deletes what others have set.

Many of AWS's writes replace a whole configuration: a bucket's notifications, an
object's tags, a queue's attributes. One that is meant to add something then
removes everybody else's. Each write that occurs is named here, with the reason
why it may.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[2]
# What people read and type.
PAGES = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md")]
# What runs in an account; the sandbox, the tests and the benchmarks write to their own machine.
PACKAGES = (
    "echodrop",
    "flows",
    "lambda_trigger",
    "watchdog",
    "operations",
    "events",
    "checks",
    "image",
    "release",
)
MODULES = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]

VERBS = "put|set|update|modify|replace|reset|tag|untag|attach|detach|purge|enable|disable"
TYPED = re.compile(rf"aws\s+[\w-]+\s+((?:{VERBS})-[\w-]+)")
CALLED = re.compile(rf"[.\"]((?:{VERBS})_\w+)\b")
SERVICES = (
    "s3",
    "sqs",
    "sns",
    "ssm",
    "ecs",
    "ecr",
    "events",
    "secretsmanager",
    "cloudwatch",
    "kms",
)

ALLOWED = {
    # Typed.
    "put-secret-value": "of the secret that the stack made, which holds nothing before",
    "purge-queue": "messages of task states that are old by then, of a queue of the stack's own",
    "update-service": "starts the stack's worker again; what is not named stays as it is",
    "enable-rule": "switches a rule of the stack's own on and changes nothing of it",
    "update-cost-allocation-tags-status": "of the tag that it names alone",
    "attach-user-policy": "adds one managed policy to a ship's user; policies that it has stay",
    "put-bucket-inventory-configuration": "the inventory of the id `echodrop` alone; other inventories of the bucket have other ids",
    "update-event-source-mapping": "of the trigger's own queue; what is not named stays as it is",
    "put-image-tag-mutability": "of the repository that holds echodrop's images alone",
    "put-image-scanning-configuration": "of the repository that holds echodrop's images alone",
    # Called.
    "put_bucket_notification_configuration": "what was read before goes back, EventBridge added (test_inbox_events)",
    "put_object": "one object under a key of echodrop's own; publishing asks for nobody's before",
    "put_object_tagging": "the tags that were read before go back, ours changed (test_quarantine)",
    "put_metric_data": "adds data points",
}


def replacing(text: str) -> Iterator[str]:
    """The writes that a text tells people to type, or calls."""
    yield from TYPED.findall(text)
    yield from (name for name in CALLED.findall(text) if name in OPERATIONS)


def _operations() -> frozenset[str]:
    session = botocore.session.get_session()
    return frozenset(
        xform_name(operation)
        for service in SERVICES
        for operation in session.get_service_model(service).operation_names
    )


OPERATIONS = _operations()


def test_each_write_has_its_reason_and_each_reason_its_write() -> None:
    found = {
        name: str(path.relative_to(ROOT))
        for path in [*PAGES, *MODULES]
        for name in replacing(path.read_text("utf-8"))
    }
    assert {name: found[name] for name in found.keys() - ALLOWED.keys()} == {}
    assert ALLOWED.keys() - found.keys() == set()


@pytest.mark.parametrize(
    ("text", "write"),
    [
        # What the check of an inbox printed before.
        (
            'f"aws s3api put-bucket-notification-configuration --bucket {bucket} "',
            "put-bucket-notification-configuration",
        ),
        ("`aws sqs set-queue-attributes --queue-url URL`", "set-queue-attributes"),
        ("aws ssm put-parameter --overwrite", "put-parameter"),
        ("aws s3api put-bucket-versioning", "put-bucket-versioning"),
        ("client('s3').put_bucket_lifecycle_configuration(", "put_bucket_lifecycle_configuration"),
        ('self._call("set_queue_attributes")', "set_queue_attributes"),
    ],
)
def test_a_write_without_a_reason_is_seen(text: str, write: str) -> None:
    assert list(replacing(text)) == [write]
    assert write not in ALLOWED
