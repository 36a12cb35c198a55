"""Counts the requests of each part to Prefect's API, as Prefect Cloud counts them for a plan.

    python -m benchmarks.prefect_requests [--minutes 2] [--files 250]

A fake Prefect Cloud counts the requests and forwards them to a real server. The worker
runs the stack's own command at its own intervals. The conversion is one run of a sample
file, executed as in a task. `reconcile` and `replay` send the same requests as the
commands. The baseline is the smallest plan's limit of 250 per minute.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.measuring.servers import FlowRunServer, flow_runs, running
from flows.deployment import deployments
from flows.deployment.deployment_specs import lanes
from flows.deployment.work_pool_template import base_job_template
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import PrefectApi
from lambda_trigger.clients.http_client import HttpClient
from lambda_trigger.clients.prefect_connection import PrefectConnection
from lambda_trigger.clients.transport_errors import UnavailableError
from lambda_trigger.decisions.run_identity import RunRequest
from operations.clients.prefect_runs import PrefectRuns
from operations.findings.findings import RunFacts
from operations.inventory.upload_inspection import GENERATIONS, LOT
from sandbox.parts.environments import aws_environment, prefect_environment, system_environment
from sandbox.parts.ports import HOST, free_port
from sandbox.parts.processes import Part
from sandbox.sea.sample_file import write_sample
from sandbox.stack.template import UNUSED_PARAMETERS, Stack
from tests.cloud.prefect_cloud import KEY, PrefectCloud, RecordedRequest, prefect_cloud
from watchdog.cost_brake import BrakeLimits
from watchdog.pool_brake import WorkPool, observe
from watchdog.prefect_http import PrefectHttp
from watchdog.prefect_look import PrefectLook

PLAN = 250
_DEPLOYMENT = "convert-raw-sonar/benchmark"
_BEARER = f"Bearer {KEY}"
_NO_LIMIT = 1e6
# Number of files for `replay`.
_REPLAYED = 20


def main(
    minutes: Annotated[float, typer.Option(help="minutes to watch the worker")] = 2.0,
    files: Annotated[int, typer.Option(help="files to reconcile")] = 250,
) -> None:
    """Measure each part and print its row."""
    print("| what | requests | of 250 a minute |\n|---|---|---|")
    with flow_runs() as server, prefect_cloud(server.port) as cloud:
        _worker(server, cloud, minutes)
        _row("a worker, a minute", len(_requests(cloud, 0)) / minutes)
        with _counted(cloud) as asked:
            _watchdog(cloud)
        _row("the watchdog, a check every five minutes", asked[1])
        trigger = _trigger(cloud)
        keys = [uuid.uuid4().hex for _ in range(files)]
        for what, some in (("its first upload", keys[:1]), ("each further upload", keys[1:])):
            with _counted(cloud) as asked:
                for key in some:
                    _create(trigger, key)
            _row(f"the trigger, {what}", asked[1] / len(some))
        _conversion(server, cloud)
        _commands(server, cloud, keys)


def _row(what: str, requests: float) -> None:
    print(f"| {what} | {requests:.4g} | {requests / PLAN:.1%} |", flush=True)


@contextlib.contextmanager
def _counted(cloud: PrefectCloud) -> Iterator[list[int]]:
    """Count the block's requests: yields a list with the start position, and adds the count."""
    found = [len(cloud.requests)]
    yield found
    found.append(len(_requests(cloud, found[0])))


def _requests(cloud: PrefectCloud, since: int) -> list[RecordedRequest]:
    """The recorded requests from a position on.

    Streams are left out, because they are opened once, and so are requests that were
    answered with 503 because SQLite was busy.
    """
    answered = [each for each in cloud.requests[since:] if each.status < 500]
    return [each for each in answered if not (each.call or "").startswith("STREAM")]


def _worker(server: FlowRunServer, cloud: PrefectCloud, minutes: float) -> None:
    """Run the stack's worker; keep only its requests from the first poll on."""
    stack = Stack.read(UNUSED_PARAMETERS | {"PrefectApiUrl": cloud.url, "PrefectAuth": "none"})
    with temporary_settings({PREFECT_API_URL: server.api.url}):
        outputs = stack.outputs()
        deployments.register(
            base_job_template(outputs),
            work_pool=outputs["WorkPoolName"],
            queues=lanes(20, 4),
            deployments=(),
        )
    (container,) = stack.task_definition("WorkerTask")["containerDefinitions"]
    program, *arguments = container["command"]
    environment = {
        **system_environment(),
        **{each["name"]: each["value"] for each in container["environment"]},
        **aws_environment(f"http://{HOST}:{free_port()}"),
        **prefect_environment(server.home / "worker", cloud.url),
        **cloud.environment,
        "PREFECT_WORKER_WEBSERVER_PORT": str(free_port()),
        "PREFECT_CLI_PROMPT": "false",
    }
    command = [sys.executable, "-m", program, *arguments]
    with running(Part("worker", command, environment, server.home / "worker.log")) as worker:
        while not any("get_scheduled_flow_runs" in call for call in cloud.counts()):
            worker.check()
            time.sleep(0.2)
        cloud.requests.clear()
        time.sleep(60 * minutes)


def _watchdog(cloud: PrefectCloud) -> None:
    """The requests of one invocation: those of the check and of the brake."""
    now = datetime.now(UTC)
    http = PrefectHttp(cloud.url, _BEARER, timeout=5)
    PrefectLook(http, "benchmark", now, timedelta(minutes=15)).metrics()
    pool = WorkPool(PrefectHttp(cloud.url, _BEARER), "benchmark")
    observe(pool, BrakeLimits(1.0, None), now, None)


def _trigger(cloud: PrefectCloud) -> PrefectApi:
    secret = json.dumps({"api_key": KEY})
    return PrefectApi(PrefectConnection(HttpClient(), cloud.url, lambda _deadline: secret))


def _create(trigger: PrefectApi, key: str) -> None:
    parameters = {
        "raw_file": f"s3://inbox/{key}.raw",
        "sonar_model": "EK60",
        "output_path": f"s3://output/{key}.zarr",
        "output_type": "zarr",
    }
    # Paused, because a server on SQLite that marks runs as late is too busy to create others.
    wanted = RunRequest(_DEPLOYMENT, key, [], key, parameters, {}, "default", paused="measured")
    while True:
        with contextlib.suppress(UnavailableError):
            trigger.create_run(wanted, Deadline(60))
            return


def _conversion(server: FlowRunServer, cloud: PrefectCloud) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = write_sample(Path(folder, "a.raw"), pings=200).path
        parameters = {
            "raw_file": str(raw),
            "sonar_model": "EK60",
            "output_path": str(raw.with_suffix(".zarr")),
            "output_type": "zarr",
        }
        run = server.create(parameters)
        home = prefect_environment(server.home / "task", cloud.url)
        with _counted(cloud) as asked:
            server.execute(run, home | cloud.environment)
        _row("one conversion", asked[1])
        logs = server.api.request(
            "POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}}
        )
        print(f"| one conversion, lines of log (a limit of their own) | {len(logs)} | |")


def _commands(server: FlowRunServer, cloud: PrefectCloud, keys: list[str]) -> None:
    runs = PrefectRuns(cloud.url, _BEARER, per_minute=_NO_LIMIT)
    with _counted(cloud) as asked:
        found = _found(runs, keys)
        list(runs.with_tasks())
    _row(f"reconcile, of {len(found):,} files that are not done", asked[1])
    chosen = {found[key].id for key in keys[:_REPLAYED]}
    for run in chosen:
        state = {"state": {"type": "FAILED", "name": "Failed"}, "force": True}
        server.api.request("POST", f"/flow_runs/{run}/set_state", state)
    with _counted(cloud) as asked:
        failed = [each for each in runs.in_states(("FAILED", "CRASHED")) if each.id in chosen]
        again = _found(runs, keys[:_REPLAYED])
        for facts in again.values():
            runs.retries(facts.id)
        for facts in again.values():
            runs.retry(facts.id, facts.state_id, at_most=None)
    _row(f"replay, of {len(failed)} failed runs", asked[1])


def _found(runs: PrefectRuns, keys: list[str]) -> dict[str, RunFacts]:
    """The runs of files, requested in lots as in `upload_inspection`, with several generations."""
    found: dict[str, RunFacts] = {}
    for start in range(0, len(keys), LOT):
        lot = keys[start : start + LOT]
        later = [uuid.uuid4().hex for _ in range(len(lot) * (GENERATIONS - 1))]
        found |= runs.by_identity([*lot, *later])
    return found


if __name__ == "__main__":
    typer.run(main)
