"""The events that ECS sends to EventBridge for a Fargate task, from its start to each kind of end.

Source: "Amazon ECS task state change events" and "Amazon ECS task lifecycle",
ECS developer guide; `group` is the family if RunTask sets none (API reference).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# In the order of a task's life.
STATUSES = (
    *("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"),
    *("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"),
)


def state_change(cluster: str, family: str, status: str) -> dict[str, Any]:
    """One state change of a task that ends well."""
    region, account = "us-west-2", "111122223333"
    task = f"arn:aws:ecs:{region}:{account}:task/{cluster.rpartition('/')[2]}/c13b4cb40f1f4fe4a297"
    over = STATUSES.index(status) > STATUSES.index("RUNNING")
    container: dict[str, Any] = {
        "containerArn": f"arn:aws:ecs:{region}:{account}:container/cf159fd6-3e3f-4a9e-84f9",
        "lastStatus": "STOPPED" if over else status,
        "name": "prefect",
        "taskArn": task,
        "networkInterfaces": [{"attachmentId": "5ab5", "privateIpv4Address": "192.0.2.2"}],
        "cpu": "0",
    }
    detail: dict[str, Any] = {
        "attachments": [{"id": "1789bcae", "type": "eni", "status": "ATTACHED", "details": []}],
        "availabilityZone": "us-west-2c",
        "clusterArn": cluster,
        "containers": [container],
        "cpu": "1024",
        "memory": "4096",
        "desiredStatus": "STOPPED" if over else "RUNNING",
        "lastStatus": status,
        "group": f"family:{family}",
        "launchType": "FARGATE",
        "overrides": {"containerOverrides": [{"name": "prefect"}]},
        "platformVersion": "1.4.0",
        "taskArn": task,
        "taskDefinitionArn": f"arn:aws:ecs:{region}:{account}:task-definition/{family}:1",
        "version": STATUSES.index(status) + 1,
    }
    if over:
        container["exitCode"] = 0
        detail["stopCode"] = "EssentialContainerExited"
        detail["stoppedReason"] = "Essential container in task exited"
    return {
        "version": "0",
        "id": "3317b2af-7005-947d-b652-f55e762e571a",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": account,
        "time": "2020-01-23T17:57:58Z",
        "region": region,
        "resources": [task],
        "detail": detail,
    }


def ends(cluster: str, family: str) -> Iterator[dict[str, Any]]:
    """The other ends of a task: out of memory, stopped, and never started."""
    for code, stop_code, reason in (
        (137, "EssentialContainerExited", "OutOfMemoryError: Container killed"),
        (143, "UserInitiated", "Task stopped by user"),
        (143, "SpotInterruption", "Your Spot Task was interrupted."),
    ):
        event = state_change(cluster, family, "STOPPED")
        event["detail"] |= {"stopCode": stop_code, "stoppedReason": reason}
        event["detail"]["containers"][0]["exitCode"] = code
        yield event
    never = state_change(cluster, family, "STOPPED")
    never["detail"] |= {
        "containers": [],
        "stopCode": "TaskFailedToStart",
        "stoppedReason": "CannotPullContainerError",
    }
    yield never
