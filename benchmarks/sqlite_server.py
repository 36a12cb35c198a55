"""Measures how long Prefect's server on SQLite blocks under load, plain and as in the sandbox.

    python -m benchmarks.sqlite_server [--seconds 60]

Six clients create runs, change states, list runs and write logs at the same time.
Prints the answered requests, the longest wait, and the ratio of both to the plain
server.
"""

import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
import urllib3

from benchmarks.measuring.servers import port_of, prefect_on_sqlite, running
from sandbox.parts.ports import HOST

PATIENCE = 120
LOG_LINE = {
    "name": "benchmark",
    "level": 20,
    "message": "a line of a log" * 10,
    "timestamp": "2026-01-01T00:00:00Z",
}


@dataclass
class Load:
    """The measurements of the clients."""

    port: int
    end: float
    waits: list[float] = field(default_factory=list)
    refused: int = 0
    http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(maxsize=8, retries=False)
    )

    def ask(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        """Send one request and record its time; return None if it was refused."""
        begun = time.monotonic()
        try:
            answer = self.http.request(
                method, f"http://{HOST}:{self.port}/api{path}", json=body, timeout=PATIENCE
            )
        finally:
            self.waits.append(time.monotonic() - begun)
        if answer.status >= 400:
            self.refused += 1
            return None
        return answer.json() if answer.data else None

    def create_and_run(self, flow_id: str) -> None:
        """Create runs and set each of their states."""
        while time.monotonic() < self.end:
            run = self.ask(
                "POST", "/flow_runs/", {"flow_id": flow_id, "state": {"type": "PENDING"}}
            )
            for state in ("RUNNING", "COMPLETED") if run else ():
                self.ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": {"type": state}})

    def read(self) -> None:
        """List runs."""
        while time.monotonic() < self.end:
            self.ask("POST", "/flow_runs/filter", {"limit": 200})

    def write_logs(self) -> None:
        """Write log lines."""
        while time.monotonic() < self.end:
            self.ask("POST", "/logs/", [LOG_LINE] * 5)


def measure(seconds: float, *, plain: bool) -> Load:
    """Put a new server under load for `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        server = prefect_on_sqlite(Path(folder))
        if plain:
            server.command = [
                "prefect" if c == "sandbox.prefect.sqlite_server" else c for c in server.command
            ]
        with running(server):
            load = Load(port_of(server), time.monotonic() + seconds)
            flow_id = load.ask("POST", "/flows/", {"name": "benchmark"})["id"]
            clients = [
                *(threading.Thread(target=load.create_and_run, args=[flow_id]) for _ in range(3)),
                *(threading.Thread(target=load.read) for _ in range(2)),
                threading.Thread(target=load.write_logs),
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
    return load


def main(seconds: float = 60) -> None:
    """Measure both and print the table."""
    plain, ours = measure(seconds, plain=True), measure(seconds, plain=False)
    print(f"{'':<10}{'answered':>10}{'refused':>10}{'longest wait':>14}")
    for name, load in (("plain", plain), ("sandbox", ours)):
        print(f"{name:<10}{len(load.waits):>10}{load.refused:>10}{max(load.waits):>12.1f} s")
    answered = len(ours.waits) / len(plain.waits)
    print(f"{'ratio':<10}{answered:>10.1f}{'':>10}{max(ours.waits) / max(plain.waits):>14.2f}")


if __name__ == "__main__":
    typer.run(main)
