"""Blocks on a real Prefect server, for automations to tell."""

from collections.abc import Callable
from typing import Any


def make_webhook_block(prefect_api: Callable[..., Any], name: str, url: str) -> str:
    """Make a block `webhook/<name>` that posts to a loopback URL; return its id."""
    kind = prefect_api("GET", "/block_types/slug/webhook")
    (schema, *_) = prefect_api(
        "POST",
        "/block_schemas/filter",
        {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}},
    )
    made = prefect_api(
        "POST",
        "/block_documents/",
        {
            "name": name,
            "block_type_id": kind["id"],
            "block_schema_id": schema["id"],
            "data": {"url": url, "method": "POST", "allow_private_urls": True},
        },
    )
    return str(made["id"])
