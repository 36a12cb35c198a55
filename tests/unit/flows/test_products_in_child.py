"""Products are made in a child process; whatever happens to it, the parent goes on and records it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.core.child_module import command_of, environment_for
from flows.products.jobs import in_child
from flows.products.jobs.in_child import make_in_child
from flows.products.jobs.product_jobs import ProductJob, is_current, products_are_on
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from tests.conversions import converted
from tests.product_children import product_child

pytestmark = pytest.mark.slow

Outputs = Callable[[str], str]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    raw = write_sample(folder / "a.raw", pings=5, channels=(38_000,), samples=50).path
    converted(raw, folder)
    return folder / "a.zarr.manifest.json"


@pytest.fixture
def outputs(manifest: Path, tmp_path: Path) -> Outputs:
    """Makes a complete output of a name; the child here only reads its manifest."""

    def make(name: str) -> str:
        shutil.copy(manifest, tmp_path / f"{name}.manifest.json")
        return str(tmp_path / name)

    return make


def record_of(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{output}.products.json").read_text())
    return found


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("fails", "MemoryError: 9 TiB"),
        ("raises", "ValueError: no such thing"),
        ("killed", "out of memory"),
        ("exits", "with exit code 3"),
        ("hangs", "TimedOut"),
    ],
)
def test_a_failure_is_recorded_and_the_other_outputs_are_made(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, error: str
) -> None:
    log = tmp_path / "children"
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect")
    monkeypatch.setattr(in_child, "_COMMAND", product_child(how, log))
    bad, good, absent = outputs("bad.zarr"), outputs("good.zarr"), str(tmp_path / "absent.zarr")
    jobs = [ProductJob(each) for each in (bad, good, absent)]
    # The imports of a child take seconds on a busy machine.
    results = list(make_in_child(jobs, limit=timedelta(seconds=15 if how == "hangs" else 300)))
    assert [each.state for each in results] == ["failed", "made", "incomplete"]
    assert error in results[0].error
    record = record_of(bad)
    assert error in record["products"]["viewer"]["error"]
    # What was made before is not made again for nothing, unless the whole call failed.
    made = "failed" if how == "raises" else "made"
    assert {record["products"][name]["state"] for name in ("echogram", "thumbnail")} == {made}
    sha256 = json.loads(Path(f"{bad}.manifest.json").read_text())["output"]["sha256"]
    assert record["output_sha256"] == sha256
    assert not is_current(Path(f"{bad}.products.json").read_bytes(), sha256)
    children = log.read_text().splitlines()
    assert len(children) == (1 if how in {"fails", "raises"} else 2)
    # A child cannot reach the run.
    assert all(line.endswith("[]") for line in children)


def test_current_products_stay_unless_forced_or_stale(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_child, "_COMMAND", product_child("well", tmp_path / "children"))
    output = outputs("a.nc")

    def state(**more: Any) -> str:
        (result,) = make_in_child([ProductJob(output, **more)])
        return result.state

    assert [state(), state(), state(force=True)] == ["made", "current", "made"]
    replaced = Path(f"{output}.manifest.json")
    fields = json.loads(replaced.read_text())
    fields["output"]["sha256"] = "0" * 64
    replaced.write_text(json.dumps(fields))
    assert state() == "made"
    assert record_of(output)["output_sha256"] == "0" * 64
    Path(f"{output}.products.json").write_text("{")
    assert state() == "made"


@pytest.mark.parametrize(
    ("does", "error"),
    [
        # It never reads its jobs, which are more than a pipe holds.
        ("time.sleep(120)", "TimedOut"),
        ("sys.stdin.close(); time.sleep(120)", "TimedOut"),
        ("os.close(1); time.sleep(120)", "did not end"),
        ("os.write(1, b'{\"output\": '); os._exit(4)", "exit code 4"),
        ("os.write(1, b'\\xff\\n'); os._exit(4)", "exit code 4"),
    ],
)
def test_a_child_that_does_not_keep_to_the_protocol_never_stops_the_parent(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch, does: str, error: str
) -> None:
    monkeypatch.setattr(in_child, "_GRACE_SECONDS", 0.5)
    command = (sys.executable, "-c", f"import os, sys, time; {does}")
    monkeypatch.setattr(in_child, "_COMMAND", command)
    jobs = [ProductJob(outputs(f"{number}.zarr")) for number in range(2)]
    jobs += [ProductJob("/nowhere/" + "n" * 10_000)] * 20
    with closing(make_in_child(jobs, limit=timedelta(seconds=2))) as results:
        for job in jobs[:2]:
            result = next(results)
            assert (result.output, result.state) == (job.output, "failed")
            assert error in result.error


def test_after_the_time_for_all_outputs_the_others_are_left(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "children"
    hangs = f"open({str(log)!r}, 'a').write('x'); import time; time.sleep(120)"
    monkeypatch.setattr(in_child, "_COMMAND", (sys.executable, "-c", hangs))
    jobs = [ProductJob(outputs(f"{number}.zarr")) for number in range(3)]
    (result,) = make_in_child(jobs, total=timedelta(seconds=2))
    assert "TimedOut" in result.error
    assert log.read_text() == "x"
    assert not list(make_in_child(jobs, total=timedelta(0)))


def test_a_killed_child_leaves_no_temporary_files(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "made"
    killed = (
        "import os, tempfile\n"
        f"open({str(log)!r}, 'w').write(tempfile.mkdtemp())\n"
        "os.kill(os.getpid(), 9)"
    )
    monkeypatch.setattr(in_child, "_COMMAND", (sys.executable, "-c", killed))
    (result,) = make_in_child([ProductJob(outputs("a.zarr"))])
    assert "out of memory" in result.error
    folder = Path(log.read_text())
    assert folder.parent.name.startswith("echodrop-products-")
    assert not folder.parent.exists()


def test_files_of_the_current_folder_are_not_run(tmp_path: Path) -> None:
    for name in ("json", "flows"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    environment = environment_for({**os.environ, "PYTHONPATH": os.pathsep})
    command = command_of("flows.core.locations")
    assert subprocess.run(command, env=environment, cwd=tmp_path, check=False).returncode == 0
    assert command_of("flows.products.jobs.child") == in_child._COMMAND


class _Stopped(BaseException):
    """As Prefect's engine raises on SIGTERM."""


def test_the_child_ends_if_its_parent_is_stopped(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "children"
    monkeypatch.setattr(in_child, "_COMMAND", product_child("hangs", log))

    def stop(*_: object) -> None:
        raise _Stopped

    before = signal.signal(signal.SIGALRM, stop)
    picture = Path(outputs("bad.zarr") + ".thumbnail.png")
    watch = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import os, signal, sys, time\n"
                "while not os.path.exists(sys.argv[1]): time.sleep(0.1)\n"
                "os.kill(int(sys.argv[2]), signal.SIGALRM)"
            ),
            str(picture),
            str(os.getpid()),
        ]
    )
    try:
        with pytest.raises(_Stopped):
            list(make_in_child([ProductJob(outputs("bad.zarr"))]))
    finally:
        signal.signal(signal.SIGALRM, before)
        watch.wait()
    (line,) = log.read_text().splitlines()
    assert not psutil.pid_exists(int(line.split()[0]))


def test_the_child_ends_if_its_parent_is_killed(outputs: Outputs, tmp_path: Path) -> None:
    log = tmp_path / "children"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import json, sys\n"
                "from flows.products.jobs import in_child\n"
                "from flows.products.jobs.product_jobs import ProductJob\n"
                "in_child._COMMAND = tuple(json.loads(sys.argv[1]))\n"
                "list(in_child.make_in_child([ProductJob(sys.argv[2])]))"
            ),
            json.dumps(product_child("hangs", log)),
            outputs("bad.zarr"),
        ]
    )
    try:
        thumbnail = tmp_path / "bad.zarr.thumbnail.png"
        wait_until(thumbnail.exists, 120, "the child to hang", every=0.1)
    finally:
        parent.kill()
        parent.wait()
    child = int(log.read_text().split()[0])
    wait_until(lambda: not psutil.pid_exists(child), 30, "the child to end", every=0.1)


def test_only_the_switch_on_makes_products() -> None:
    assert products_are_on({"ECHODROP_PRODUCTS": "on"})
    assert not any(map(products_are_on, ({}, {"ECHODROP_PRODUCTS": "off"})))


@pytest.mark.parametrize(
    ("record", "current"),
    [
        (None, False),
        (b"", False),
        (b"[]", False),
        (b'{"output_sha256": "a"}', False),
        (b'{"output_sha256": "b", "products": {}}', False),
        (b'{"output_sha256": "a", "products": {"viewer": {"state": "not_applicable"}}}', True),
        (b'{"output_sha256": "a", "products": {"viewer": {"state": "made"}}}', True),
        (
            b'{"output_sha256": "a", "products": {"viewer": {"state": "failed", "error": "x"}}}',
            False,
        ),
    ],
)
def test_products_are_current_if_all_were_made_from_this_output(
    record: bytes | None, *, current: bool
) -> None:
    assert is_current(record, "a") is current
