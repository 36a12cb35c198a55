"""`echodrop up`: the whole system on this machine until Ctrl-C."""

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from sandbox.parts.part_set import Supervisor
from sandbox.parts.state_folder import UP
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.progress import exit_code_of, shown_progress
from sandbox.start import AWS, restart_aws
from sandbox.system import Sandbox, SandboxOptions
from sandbox.trigger_log import TriggerLog

# A part that exits this often cannot run.
_RESTARTS = 5

_STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CRASHED": "red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "Rejected": "red",
    "Waiting": "yellow",
    "Ignored": "dim",
}


def run_up(folder: Path, options: SandboxOptions, console: Console) -> int:
    """Start the system, print its flow runs, and stop it on Ctrl-C or SIGTERM.

    Objects and runs of the last start on the folder are there again. A part that exits is
    started again.

    Returns:
        The exit code: 0 if a signal stopped it; 1 if it could not start, a part
        exited again and again, or another sandbox is running on the folder.
    """
    return exit_code_of(lambda: _run(folder, options, console), console, interrupted=0)


def _run(folder: Path, options: SandboxOptions, console: Console) -> NoReturn:
    with console.status("starting") as status:
        show = shown_progress(console, status)
        sandbox = Sandbox(folder, replace(options, keeps_state=True), on_progress=show)
        sandbox.start()
    try:
        console.print(how_to_use(sandbox), highlight=False, markup=False, soft_wrap=True)
        _follow(sandbox, console)
    finally:
        console.print("Stopping ...")
        sandbox.stop()


def how_to_use(sandbox: Sandbox) -> str:
    """Return the system's addresses and what to try."""
    names, found = sandbox.names, sandbox.environment()
    keys = " ".join(
        f"{name}={shlex.quote(found[name])}"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    )
    here = sandbox.state.path == UP.resolve()
    echodrop = "echodrop" if here else f"echodrop --local {shlex.quote(str(sandbox.state.path))}"
    return f"""
1. Drop a file, from another terminal:
     {keys} \\
       aws --endpoint-url {sandbox.aws_endpoint_url} s3 cp FILE.raw s3://{names.inbox_bucket}/
   or in Python:
     import boto3
     s3 = boto3.client("s3", endpoint_url="{sandbox.aws_endpoint_url}", region_name="{found["AWS_REGION"]}",
                       aws_access_key_id="{found["AWS_ACCESS_KEY_ID"]}", aws_secret_access_key="{found["AWS_SECRET_ACCESS_KEY"]}")
     s3.upload_file("FILE.raw", "{names.inbox_bucket}", "FILE.raw")
2. See what became of it (also replay, reconcile, backfill):  {echodrop} status
3. Open Prefect's UI, its runs and their pages:  {sandbox.ui_url}
4. Open the gallery of s3://{names.output_bucket}/:  {sandbox.gallery_url}
5. Stop: Ctrl-C. The next start on {sandbox.state.path} has the objects and runs again;
   delete the folder to begin with none. Logs: {sandbox.state.logs}

Flow runs:"""


def _follow(sandbox: Sandbox, console: Console) -> NoReturn:
    """Print uploads without a flow run and the state changes of flow runs, until a signal arrives.

    Raises:
        PartDied: a part exits again and again.
    """
    seen: dict[str, str] = {}
    triggers = TriggerLog(sandbox.state.logs)
    supervisor = Supervisor(sandbox.parts)
    while True:
        keep_running(sandbox, supervisor, console)
        for found in triggers.new_outcomes():
            if found.outcome != "Submitted":
                text = f"{found.key or 'a notification'}: {found.reason}, {found.detail}"
                _print_line(found.outcome, _STYLES[found.outcome], text, console)
        try:
            runs = sandbox.api.flow_runs()
        except OSError:
            # The server is busy, or has exited.
            runs = []
        for run in runs:
            if seen.get(run.id) != run.state_name:
                seen[run.id] = run.state_name
                _print_run(run, console)
        time.sleep(1)


def keep_running(sandbox: Sandbox, supervisor: Supervisor, console: Console) -> None:
    """Start the parts that have exited again.

    Raises:
        PartDied: a part exits again and again.
    """
    for name, part in sandbox.parts.items():
        if not part.is_running and name not in supervisor.down:
            if supervisor.restarts[name] >= _RESTARTS:
                part.check()
            _print_line("Restarted", "yellow", f"{name}: it has exited ({part.log})", console)
    if sandbox.parts[AWS].is_running:
        supervisor.step()
    else:
        supervisor.restarts[AWS] += 1
        restart_aws(sandbox)


def _print_run(run: FlowRunInfo, console: Console) -> None:
    text = run.name
    if run.state_type == "COMPLETED":
        text += f" -> {run.parameters.get('output_path', '')} ({run.seconds:.1f} s)"
    elif run.message and run.is_final:
        text += f": {run.message}"
    _print_line(run.state_name, _STYLES.get(run.state_type, "dim"), text, console)


def _print_line(state: str, style: str, text: str, console: Console) -> None:
    console.print(f"{time.strftime('%H:%M:%S')} [{style}]{state:<12}[/{style}]", end=" ")
    console.print(text, markup=False, highlight=False, soft_wrap=True)
