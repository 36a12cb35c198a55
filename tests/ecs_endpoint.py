"""The metadata endpoint that ECS gives a task, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.http_servers import answering

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"


@contextmanager
def ecs_endpoint(task: dict[str, object]) -> Iterator[str]:
    """Answer `task` under /task while the block runs; yields what `VARIABLE` has to be."""

    with answering(
        lambda asked, _: (200, task if asked.path == "/v4/id/task" else {}, {})
    ) as origin:
        yield f"{origin}/v4/id"
