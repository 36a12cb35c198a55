"""Queues that many threads use at once.

moto's delete rebuilds a queue's list of messages outside of the queue's lock: a
message that is sent meanwhile is lost, and one that is deleted meanwhile comes
back. Its receive looks at the same list without the lock.
"""

from typing import Any

from moto.sqs.models import Queue, SQSBackend


def patch() -> None:
    """Make moto's queues of this process take one delete, receive or send at a time."""
    queues: Any = Queue
    backends: Any = SQSBackend
    delete, receive = queues.delete_message, backends.receive_message

    # ANN401: moto's own words, handed on.
    def delete_message(queue: Any, receipt_handle: str) -> None:  # noqa: ANN401
        with queue._messages_lock:  # noqa: SLF001 - moto's send holds it too
            delete(queue, receipt_handle)

    def receive_message(backend: Any, queue_name: str, *more: Any, **named: Any) -> Any:  # noqa: ANN401
        # One that waits for messages lets go of the lock meanwhile.
        with backend.get_queue(queue_name)._messages_lock:  # noqa: SLF001
            return receive(backend, queue_name, *more, **named)

    queues.delete_message, backends.receive_message = delete_message, receive_message
