"""The container image of this task, from ECS metadata."""

from __future__ import annotations

from flows.runs.ecs_metadata import ecs_metadata


def task_image() -> str | None:
    """`image@digest` of the container, None outside ECS or if ECS does not answer."""
    metadata = ecs_metadata()
    if metadata is None:
        return None
    image, digest = metadata.get("Image"), metadata.get("ImageID")
    return f"{image}@{digest}" if image and digest else image
