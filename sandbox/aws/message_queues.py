"""Makes moto's queues thread-safe.

moto's delete rebuilds a queue's list of messages without the queue's lock. A message
sent at the same time is lost, and one deleted at the same time reappears. moto's
receive reads the list without the lock too.
"""

from typing import Any

from moto.sqs.models import Queue, SQSBackend


def patch() -> None:
    """Make delete and receive of moto's queues in this process hold the queue's lock."""
    queues: Any = Queue
    backends: Any = SQSBackend
    delete, receive = queues.delete_message, backends.receive_message

    # ANN401: moto's arguments are passed on.
    def delete_message(queue: Any, receipt_handle: str) -> None:  # noqa: ANN401
        with queue._messages_lock:  # noqa: SLF001 - moto's send uses it too
            delete(queue, receipt_handle)

    def receive_message(backend: Any, queue_name: str, *more: Any, **named: Any) -> Any:  # noqa: ANN401
        # A receive that waits for messages releases the lock.
        with backend.get_queue(queue_name)._messages_lock:  # noqa: SLF001
            return receive(backend, queue_name, *more, **named)

    queues.delete_message, backends.receive_message = delete_message, receive_message
