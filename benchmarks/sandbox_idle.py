"""Measures memory, processor time and start-up of each part of an idle sandbox, then one upload.

    python -m benchmarks.sandbox_idle [--database postgresql]

Memory is the proportional set size (PSS), so that shared memory counts once. The ratio
is to the Prefect server, which is needed in any case. The upload is a sample file: seconds
until its verified output, and until its picture; the ratio is to the output.
"""

import tempfile
import time
from pathlib import Path

import psutil
import typer

from sandbox.parts.processes import Part
from sandbox.parts.waiting import wait_until
from sandbox.prefect import prefect_server
from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox, SandboxOptions
from tests.sandbox_inbox import SandboxInbox

SETTLING_SECONDS = 10
MEASURED_SECONDS = 20


def family(part: Part) -> list[psutil.Process]:
    """List a part's process and its descendants."""
    process = psutil.Process(part.pid)
    return [process, *process.children(recursive=True)]


def memory(part: Part) -> float:
    """Return a part's memory in MB."""
    return float(sum(process.memory_full_info().pss for process in family(part)) / 1e6)


def processor_seconds(part: Part) -> float:
    """Return the processor time a part has used so far."""
    times = [process.cpu_times() for process in family(part)]
    return float(sum(spent.user + spent.system for spent in times))


def drop_to_picture(sandbox: Sandbox, folder: Path) -> tuple[float, float]:
    """Upload a sample file; return the seconds until its manifest and until its picture's record."""
    inbox = SandboxInbox(sandbox)
    sample = write_sample(folder / "sample.raw").path
    begun = time.monotonic()
    inbox.drop(sample, "idle/sample.raw")

    def seconds_until(key: str) -> float:
        wait_until(lambda: key in inbox.outputs(key), 300, key, every=0.1)
        return time.monotonic() - begun

    return seconds_until("idle/sample.zarr.manifest.json"), seconds_until(
        "idle/sample.zarr.products.json"
    )


def main(database: str = "sqlite") -> None:
    """Start a sandbox, measure it while idle, and print the table."""
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(Path(folder), SandboxOptions(database=database)) as sandbox,
    ):
        up_after = time.monotonic() - begun
        time.sleep(SETTLING_SECONDS)
        parts = sandbox.parts
        before = {name: processor_seconds(part) for name, part in parts.items()}
        time.sleep(MEASURED_SECONDS)
        spent = {name: processor_seconds(part) - before[name] for name, part in parts.items()}
        megabytes = {name: memory(part) for name, part in parts.items()}
        seconds = {name: part.start_seconds or 0.0 for name, part in parts.items()}
        output, picture = drop_to_picture(sandbox, Path(folder))
    print(f"{'part':<16}{'ready after':>12}{'memory':>10}{'ratio':>8}{'processor':>11}")
    baseline = megabytes[prefect_server.NAME]
    for name, size in megabytes.items():
        print(
            f"{name:<16}{seconds[name]:>10.1f} s{size:>7.0f} MB{size / baseline:>8.2f}"
            f"{spent[name] / MEASURED_SECONDS:>10.1%}"
        )
    total, used = sum(megabytes.values()), sum(spent.values())
    print(
        f"{'all':<16}{up_after:>10.1f} s{total:>7.0f} MB{total / baseline:>8.2f}"
        f"{used / MEASURED_SECONDS:>10.1%}"
    )
    print(f"upload to verified output {output:.1f} s, to picture {picture:.1f} s")
    print(f"ratio {picture / output:.2f}")


if __name__ == "__main__":
    typer.run(main)
