"""Options of a sandbox."""

import os
from dataclasses import dataclass, field

from sandbox.aws.aws_resources import VISIBILITY_TIMEOUT


@dataclass(frozen=True)
class SandboxOptions:
    """Options of a sandbox.

    Attributes:
        database: `sqlite`, `postgresql` (a private cluster) or the SQLAlchemy URL of an
            empty database. A used database has runs of deleted objects, and Prefect
            would not convert the same files again.
        triggers: how many Lambda environments poll the queue. SQLite supports only one.
        products: whether conversions make pictures, as in a stack by default.
        visibility_timeout: seconds until SQS delivers a failed notification again. This value
            times MaxReceiveCount is how long an outage of Prefect may last.
        function_timeout: seconds a trigger invocation may take, less than the template's.
        runs_tasks: whether flow runs are executed. Otherwise they stay scheduled, and
            neither the ECS worker nor the task executor is started.
        credential: the `user:password` that the Prefect server requires, stored in the
            stack's secret; None for a server without authentication.
        keeps_state: whether objects and runs of an earlier sandbox on the folder are still there. With
            PostgreSQL the objects are, but not the runs.
    """

    database: str = "sqlite"
    triggers: int | None = None
    parallel_tasks: int = field(default_factory=lambda: os.cpu_count() or 1)
    products: bool = True
    visibility_timeout: int = VISIBILITY_TIMEOUT
    function_timeout: float = 20.0
    runs_tasks: bool = True
    credential: str | None = None
    gallery: bool = False
    keeps_state: bool = False

    def trigger_count(self, maximum_concurrency: int) -> int:
        """Return the number of triggers: `triggers` if set, else 1 on SQLite and the template's maximum otherwise."""
        most = 1 if self.database.startswith("sqlite") else maximum_concurrency
        return self.triggers or most
