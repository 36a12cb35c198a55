"""Products of outputs on S3 are made beside them there, and replaced as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.core.locations import VIEWER_SUFFIX
from flows.products.make import make_products
from flows.products.opened_output import open_output
from tests.contract.flows.conftest import EK60, Buckets, options_for
from tests.viewer_contract import violations

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("name", "output_type"), [("a b/out?::b.zarr", "zarr"), ("a::b/out.nc", "netcdf")]
)
def test_products_are_beside_the_output(
    buckets: Buckets, tmp_path: Path, name: str, output_type: str
) -> None:
    buckets.upload("ek60.raw", buckets.real_data / EK60)
    uri = f"s3://{buckets.output.bucket}/{name}"
    buckets.convert(output_path=uri, output_type=output_type)
    before = buckets.output.list("")
    options = options_for(buckets.port)
    stale = f"{name}{VIEWER_SUFFIX}/7/Sv/c/0/0/0"
    buckets.output.put(stale, b"of an older output")
    record = make_products(uri, options)
    assert {product["state"] for product in record["products"].values()} == {"made"}
    after = buckets.output.list("")
    assert {key: after[key] for key in before} == before
    assert stale not in after
    beside = {key for key in after if key not in before}
    viewer = {key for key in beside if key.startswith(f"{name}{VIEWER_SUFFIX}/")}
    assert len(viewer) == record["products"]["viewer"]["objects"]
    assert beside - viewer == {
        f"{name}{end}" for end in (".echogram.png", ".thumbnail.png", ".products.json")
    }
    for key in viewer:
        path = tmp_path / key.removeprefix(f"{name}{VIEWER_SUFFIX}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        found: Any = buckets.output.get(key)
        path.write_bytes(found.body)
    assert violations(tmp_path) == []


def test_an_absent_output_is_said(buckets: Buckets) -> None:
    for name in ("absent.zarr", "absent.nc"):
        with pytest.raises(FileNotFoundError):
            open_output(f"s3://{buckets.output.bucket}/{name}", options_for(buckets.port))
