"""The page on sizes and costs matches the code, and its dollars follow from its other values."""

import re
from pathlib import Path

import pytest

from benchmarks.cost_table import TERABYTE, standing, standing_items
from operations.sending.estimates import (
    ARM64,
    COLD_SECONDS,
    PREFECT_SECONDS,
    S3_GET,
    S3_PUT,
    X86_64,
    dollars_of_task,
)
from task_sizes import LARGE, STANDARD, size_for

SIZES = (STANDARD, LARGE)

PAGE = Path(__file__).resolve().parents[3] / "docs/sizes-and-costs.md"
ROW = re.compile(
    r"^\| (?P<model>\w+) (?P<mb>[\d,.]+) MB \| (?P<size>\w+) \| (?P<seconds>[\d.]+) s, (?:measured|line) "
    r"\| (?P<objects>[\d,]+) \| \$(?P<file>[\d.]+) \| \$(?P<tb>[\d,.]+) \| \$(?P<x86>[\d,.]+) \|$",
    re.MULTILINE,
)


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_the_table_of_sizes_is_the_code_s() -> None:
    text = PAGE.read_text()
    for size in SIZES:
        row = (
            rf"\| {size.name} \| {size.cpu // 1024} \| {size.memory // 1024} GiB "
            rf"\| {size.ephemeral_storage} GiB " + r"\| ([\d,]+) MB " * 5 + r"\|"
        )
        (limits,) = re.findall(row, text)
        for model, limit in zip(("EK60", "EK80", "AZFP", "AZFP6", "AD2CP"), limits, strict=True):
            assert size.fits(model, int(number(limit)) * 10**6)
            assert not size.fits(model, (int(number(limit)) + 1) * 10**6)


def test_every_dollar_follows_from_its_row_s_seconds_and_objects() -> None:
    rows = list(ROW.finditer(PAGE.read_text()))
    assert {row["size"] for row in rows} == {size.name for size in SIZES}
    for row in rows:
        size = number(row["mb"]) * 1e6
        task = size_for(row["model"], round(size))
        assert task.name == row["size"], row[0]
        seconds = COLD_SECONDS + PREFECT_SECONDS + number(row["seconds"])
        arm, x86 = (
            dollars_of_task(prices, task, seconds, number(row["objects"]))
            for prices in (ARM64, X86_64)
        )
        # Seconds and megabytes are rounded on the page.
        assert number(row["file"]) == pytest.approx(arm, rel=0.005), row[0]
        assert number(row["tb"]) == pytest.approx(arm * TERABYTE / size, rel=0.01), row[0]
        assert number(row["x86"]) == pytest.approx(x86 * TERABYTE / size, rel=0.01), row[0]


def test_the_dollars_of_products_follow_from_their_seconds_and_objects() -> None:
    rows = re.findall(
        r"^\| \w+ [\d.]+ MB \| ([\d.]+) s \| \d+ MB \| (\d+) \| \$([\d.]+) \|$",
        PAGE.read_text(),
        re.MULTILINE,
    )
    assert len(rows) == 3
    hour = ARM64.dollars(STANDARD.cpu, STANDARD.memory, STANDARD.ephemeral_storage, 3600)
    for seconds, objects, dollars in rows:
        wanted = float(seconds) * hour / 3600 + int(objects) * (S3_PUT + S3_GET)
        assert float(dollars) == pytest.approx(wanted, rel=0.02)


def test_the_first_minute_and_the_month_cost_what_is_said() -> None:
    text = " ".join(PAGE.read_text().split())
    for size in SIZES:
        minute = ARM64.dollars(size.cpu, size.memory, size.ephemeral_storage, 60)
        assert f"${minute:.4f} ({size.name})" in text
    (month,) = re.findall(r"that nobody uses costs about \$(\d+) a month", text)
    assert float(month) == pytest.approx(standing(), rel=0.05)


def test_the_cost_of_an_idle_stack_is_itemised() -> None:
    text = PAGE.read_text()
    items = dict(re.findall(r"^\| ([^|]+) \| \$(\d+\.\d\d) \|$", text, re.MULTILINE))
    together = float(items.pop("together"))
    wanted = standing_items()
    assert set(items) == set(wanted)
    for name, dollars in wanted.items():
        # A different number of alarms alone does not require a new table.
        assert float(items[name]) == pytest.approx(dollars, rel=0.15, abs=0.01), name
    assert together == pytest.approx(sum(map(float, items.values())), abs=0.05)
