"""`echodrop up`: the whole system on this machine until Ctrl-C."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sandbox.parts.environments import aws_environment
from sandbox.parts.errors import SandboxError
from sandbox.parts.signals import ended_by_signals
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.system import Sandbox, SandboxOptions
from sandbox.trigger_log import TriggerLog

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

    Args:
        folder: folder for its state, logs and database.
        options: its options.
        console: where to print.

    Returns:
        The exit code: 0 if a signal stopped it; 1 if it could not start, a part
        exited, or another sandbox is running on the folder.
    """
    with ended_by_signals():
        try:
            _run(folder, options, console)
        except KeyboardInterrupt:
            console.print("Stopped. No process is left running.")
            return 0
        except SandboxError as problem:
            console.print(f"[red]{type(problem).__name__}[/red]:", end=" ")
            console.print(str(problem), markup=False, highlight=False)
            return 1
    return 0


def _run(folder: Path, options: SandboxOptions, console: Console) -> None:
    with _progress(console) as show:
        sandbox = Sandbox(folder, options, on_progress=show)
        sandbox.start()
    try:
        console.print(how_to_use(sandbox), highlight=False, markup=False, soft_wrap=True)
        _follow(sandbox, console)
    finally:
        console.print("Stopping ...")
        sandbox.stop()


def how_to_use(sandbox: Sandbox) -> str:
    """Return the system's addresses and the commands that upload a file."""
    names = sandbox.names
    keys = aws_environment(sandbox.aws_endpoint_url)
    variables = " ".join(
        f"{name}={shlex.quote(keys[name])}"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    )
    aws = f"aws --endpoint-url {sandbox.aws_endpoint_url} s3"
    return f"""
Gallery       {sandbox.gallery_url}
Prefect UI    {sandbox.ui_url}
S3 endpoint   {sandbox.aws_endpoint_url}  (inbox {names.inbox_bucket}, output {names.output_bucket})
Logs          {sandbox.state.logs}

Upload a file from another terminal:
  export {variables}
  {aws} cp FILE.raw s3://{names.inbox_bucket}/
List the output:
  {aws} ls --recursive s3://{names.output_bucket}/
Without the aws command, in Python:
  import boto3
  s3 = boto3.client("s3", endpoint_url="{sandbox.aws_endpoint_url}", region_name="{keys["AWS_REGION"]}",
                    aws_access_key_id="{keys["AWS_ACCESS_KEY_ID"]}", aws_secret_access_key="{keys["AWS_SECRET_ACCESS_KEY"]}")
  s3.upload_file("FILE.raw", "{names.inbox_bucket}", "FILE.raw")

Press Ctrl-C to stop. Flow runs:"""


def _follow(sandbox: Sandbox, console: Console) -> None:
    """Print uploads without a flow run and the state changes of flow runs.

    Runs until a signal arrives or a part exits.
    """
    seen: dict[str, str] = {}
    triggers = TriggerLog(sandbox.state.logs)
    while True:
        sandbox.check()
        for found in triggers.new_outcomes():
            if found.outcome != "Submitted":
                text = f"{found.key or 'a notification'}: {found.reason}, {found.detail}"
                _print_line(found.outcome, _STYLES[found.outcome], text, console)
        try:
            runs = sandbox.api.flow_runs()
        except OSError:
            # The server is busy or stopping. If it has exited, the next `check` raises.
            runs = []
        for run in runs:
            if seen.get(run.id) != run.state_name:
                seen[run.id] = run.state_name
                _print_run(run, console)
        time.sleep(1)


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


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, str], None]]:
    """Show each part and its start time while the system starts."""
    started: dict[str, float] = {}
    took: dict[str, float] = {}

    def shown() -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for part, since in started.items():
            if part in took:
                table.add_row(f"[green]ready[/green]    {part}", f"{took[part]:.1f} s")
            else:
                table.add_row(
                    f"[yellow]starting[/yellow] {part}", f"{time.monotonic() - since:.0f} s"
                )
        return table

    with Live(get_renderable=shown, console=console, refresh_per_second=4) as live:

        def show(part: str, state: str) -> None:
            if state == "starting":
                started[part] = time.monotonic()
                took.pop(part, None)
            elif state == "ready":
                took[part] = time.monotonic() - started[part]
            live.refresh()

        yield show
