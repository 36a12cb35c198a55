"""A file's manifest has the parser's warnings for that file, also with parallel conversions."""

from __future__ import annotations

import logging
import shutil
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.rawfile.echopype_reader import import_echopype, open_raw_file


def test_parallel_parsers_collect_only_their_own_warnings(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    echopype = import_echopype()
    real_open, filters, show = echopype.open_raw, list(warnings.filters), warnings.showwarning

    def warning_open_raw(path: str, **parameters: Any) -> Any:
        name = Path(path).stem
        # Time for the other threads to begin.
        time.sleep(0.2)
        warnings.warn(f"warned of {name}", UserWarning, stacklevel=1)
        opened = real_open(path, **parameters)
        logging.getLogger("echopype.convert").warning("logged of %s", name)
        return opened

    monkeypatch.setattr(echopype, "open_raw", warning_open_raw)
    over = threading.Event()

    def encoding() -> None:
        while not over.wait(0.005):
            warnings.warn("of an encoding", UserWarning, stacklevel=1)
            logging.getLogger("echopype.convert").warning("of an encoding")

    def parse(name: str) -> list[str]:
        path = tmp_path / f"{name}.raw"
        shutil.copyfile(real_data / "ek80/-1519668699940320059.raw", path)
        return open_raw_file(path, "EK80", None, {}, path.as_uri())[1]

    names = ["a", "b", "c", "d"]
    with ThreadPoolExecutor(5) as pool:
        other = pool.submit(encoding)
        try:
            collected = list(pool.map(parse, names))
        finally:
            over.set()
        other.result()
    for name, messages in zip(names, collected, strict=True):
        ours = [text for text in messages if " of " in text]
        assert ours == [f"warned of {name}", f"logged of {name}"]
        assert "of an encoding" not in messages
    assert (warnings.filters, warnings.showwarning) == (filters, show)
