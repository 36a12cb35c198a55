"""Which container image this task runs, as ECS says it."""

from __future__ import annotations

import os

import urllib3

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
_ENDPOINT_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"


def task_image() -> str | None:
    """`image@digest` of the container, None outside ECS or where ECS does not answer."""
    endpoint = os.environ.get(_ENDPOINT_VARIABLE)
    if not endpoint:
        return None
    try:
        told = urllib3.request("GET", endpoint, timeout=2.0, retries=1).json()
    except (urllib3.exceptions.HTTPError, ValueError):
        return None
    image, digest = told.get("Image"), told.get("ImageID")
    return f"{image}@{digest}" if image and digest else image
