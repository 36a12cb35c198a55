"""Concurrent senders and receivers lose and repeat no message."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[3]
# In its own process, because the patch affects the whole process.
SCRIPT = """
import sys, threading
from collections import Counter
import moto.sqs.models as sqs
from sandbox.aws.aws_server import patch_queues

patch_queues()
sys.setswitchinterval(1e-5)
backend = sqs.sqs_backends["123456789012"]["us-east-1"]
backend.create_queue("queue", {})
backend.get_queue("queue").visibility_timeout = 600
for number in range(150):
    backend.send_message("queue", str(number))
taken, sent = Counter(), threading.Event()

def send():
    for number in range(150, 300):
        backend.send_message("queue", str(number))
    sent.set()

def take():
    while True:
        over = sent.is_set()
        messages = backend.receive_message("queue", 10, 0, 600)
        if not messages and over:
            return
        for message in messages:
            taken[message.body] += 1
            backend.delete_message("queue", message.receipt_handle)

threads = [threading.Thread(target=send), *(threading.Thread(target=take) for _ in range(8))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(taken), max(taken.values()), len(backend.get_queue("queue")._messages))
"""


def test_no_message_is_lost_or_repeated() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.stdout.split() == ["300", "1", "0"], done.stderr
