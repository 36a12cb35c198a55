"""ECS metadata of the task that this process runs in."""

from __future__ import annotations

import os
from typing import Any

import urllib3

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
_ENDPOINT_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"


def ecs_metadata(path: str = "") -> dict[str, Any] | None:
    """The container's metadata, or with `/task` the task's.

    None outside ECS, or if ECS does not answer within seconds.
    """
    endpoint = os.environ.get(_ENDPOINT_VARIABLE)
    if not endpoint:
        return None
    try:
        answer = urllib3.request("GET", endpoint + path, timeout=2.0, retries=1).json()
    except (urllib3.exceptions.HTTPError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def task_image() -> str | None:
    """`image@digest` of the container, None outside ECS or if ECS does not answer."""
    metadata = ecs_metadata()
    if metadata is None:
        return None
    image, digest = metadata.get("Image"), metadata.get("ImageID")
    return f"{image}@{digest}" if image and digest else image
