"""Names of the stack's resources."""

from dataclasses import dataclass
from typing import Self

from sandbox.stack.template import Stack


@dataclass(frozen=True)
class ResourceNames:
    """Names of the resources that users of the sandbox need; `alert_topic` is an ARN."""

    inbox_bucket: str
    output_bucket: str
    notifications_queue: str
    dead_letter_queue: str
    uploads_rule: str
    task_events_queue: str
    task_events_rule: str
    rules_parameter: str
    alert_topic: str
    cluster: str
    worker_service: str
    work_pool: str

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """Take the names from a stack."""
        outputs, name = stack.outputs(), stack.resolver.name
        return cls(
            inbox_bucket=outputs["Inbox"],
            output_bucket=outputs["Output"],
            notifications_queue=name("UploadQueue"),
            dead_letter_queue=name("UploadDeadLetters"),
            uploads_rule=name("UploadRule"),
            task_events_queue=name("TaskStateQueue"),
            task_events_rule=name("TaskStateRule"),
            rules_parameter=outputs["RulesParameter"],
            alert_topic=outputs["Alerts"],
            cluster=outputs["ClusterName"],
            worker_service=outputs["WorkerServiceName"],
            work_pool=outputs["WorkPoolName"],
        )
