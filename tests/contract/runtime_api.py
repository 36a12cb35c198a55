"""Lambda's Runtime API for the process of one function, as the real runtime client uses it.

Source: "Using the Lambda runtime API for custom runtimes", Lambda developer guide.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

PATHS = "/2018-06-01/runtime/"


@dataclass(frozen=True)
class Answer:
    """The function's result for an event, or its error."""

    result: Any
    error: dict[str, Any] | None


class FunctionError(Exception):
    """The function's process failed before it requested an event."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a function that was killed during a request."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class RuntimeApi:
    """Serves events to one function process and receives its answers.

    Used as a context manager. `first_next_at` is the moment of time.monotonic()
    at which the process requested its first event.
    """

    def __init__(self) -> None:
        self.first_next_at: float | None = None
        self._events: queue.Queue[tuple[str, bytes, float]] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._asked = threading.Event()
        self._init_error: dict[str, Any] | None = None
        self._stopping = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                """Print nothing: tests read the function's own output."""

            def do_GET(self) -> None:
                api._note_next()
                event = api._take_event()
                if event is None:
                    self.close_connection = True
                    return
                request_id, body, seconds = event
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                deadline = int((time.time() + seconds) * 1000)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:::trigger")
                self.send_header(
                    "Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"
                )
                # The runtime client crashes on an answer without a content type.
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                api._note_answer(self.path, body)

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for_first_next(self, seconds: float) -> None:
        """Wait until the process requests its first event.

        Raises:
            FunctionError: it could not start, or did not request an event in time.
        """
        asked = self._asked.wait(seconds)
        if self._init_error is not None:
            raise FunctionError(self._init_error)
        if not asked:
            raise FunctionError(f"no request for an event within {seconds} s")

    def invoke(self, event: Any, seconds: float = 30.0) -> Answer:
        """Pass an event to the function and wait for its answer.

        Raises:
            queue.Empty: no answer in time.
        """
        self._events.put((str(uuid.uuid4()), json.dumps(event).encode(), seconds))
        return self._answers.get(timeout=seconds + 5)

    def _note_next(self) -> None:
        if self.first_next_at is None:
            self.first_next_at = time.monotonic()
        self._asked.set()

    def _take_event(self) -> tuple[str, bytes, float] | None:
        while not self._stopping.is_set():
            try:
                return self._events.get(timeout=0.05)
            except queue.Empty:
                continue
        return None

    def _note_answer(self, path: str, body: bytes) -> None:
        if path == f"{PATHS}init/error":
            self._init_error = json.loads(body)
            self._asked.set()
        elif path.endswith("/error"):
            self._answers.put(Answer(None, json.loads(body)))
        else:
            self._answers.put(Answer(json.loads(body), None))


def start_function(
    artifact: Path,
    handler: str,
    api: RuntimeApi,
    *,
    environment: dict[str, str],
    packages: list[Path],
    output: Any = None,
) -> subprocess.Popen[bytes]:
    """Start the runtime client on an artifact, in a Python without other packages.

    Args:
        artifact: the unpacked artifact, as under /var/task.
        handler: such as lambda_trigger.handler.handler.
        api: the server of its events.
        environment: the function's own variables.
        packages: folders with the runtime's packages.
        output: the target of its output, as for subprocess.
    """
    paths = [str(artifact), *map(str, packages)]
    return subprocess.Popen(
        # -S excludes the environment's own packages.
        [sys.executable, "-S", "-m", "awslambdaric", handler],
        cwd=artifact,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "trigger",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "LAMBDA_TASK_ROOT": str(artifact),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
    )


def runtime_packages(folder: Path) -> Path:
    """Create a folder with links to the packages of Lambda's runtime that the trigger may use."""
    import awslambdaric  # noqa: PLC0415 - only where a function is started

    site_packages = Path(awslambdaric.__file__).parents[1]
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in (
        "awslambdaric",
        "runtime_client*",
        "snapshot_restore_py*",
        "simplejson",
        "urllib3",
        "boto3",
        "botocore",
        "s3transfer",
        "jmespath",
        "dateutil",
        "six.py",
    ):
        for path in site_packages.glob(pattern):
            (folder / path.name).symlink_to(path)
    return folder
