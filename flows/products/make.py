"""Makes the products of an output: the echogram, its thumbnail, the viewer store, and their record.

    python -m flows.products.make [--only echogram] OUTPUT…

prints one JSON line for each output: its record. Exits with 1 if a product failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from flows.core.hold_memory import hold_memory
from flows.core.locations import (
    MANIFEST_SUFFIX,
    PICTURE_SUFFIX,
    PRODUCTS_SUFFIX,
    THUMBNAIL_SUFFIX,
    VIEWER_SUFFIX,
)
from flows.core.progress import Stopwatch
from flows.products.complete_output import CompleteOutput
from flows.products.product_files import (
    FilesOfVersion,
    OutputReplacedError,
    ProductFiles,
    product_files,
)
from flows.publishing.manifest import read_manifest

#: The colour map of pictures; see `flows.products.picture.draw` for others.
DEFAULT_COLOURS = "ek500"
#: Each product and the end of its name, in the order in which they are made.
PRODUCTS: Mapping[str, str] = {
    "echogram": PICTURE_SUFFIX,
    "thumbnail": THUMBNAIL_SUFFIX,
    "viewer": VIEWER_SUFFIX,
}

_log = logging.getLogger(__name__)


class OutputIncompleteError(FileNotFoundError):
    """The output has no manifest: it is not complete, so nothing is made from it."""

    def __init__(self, output: str) -> None:
        super().__init__(f"{output} has no manifest, so it is not complete: convert its file again")


def make_products(
    output: str,
    storage_options: Mapping[str, Any] | None = None,
    *,
    only: Collection[str] | None = None,
    colours: str = DEFAULT_COLOURS,
    on_end: Callable[[str, dict[str, Any]], None] = lambda _name, _entry: None,
) -> dict[str, Any]:
    """Make the products of a complete output beside it, and write their record last.

    A product that cannot be made is recorded as failed, with its error; the others are
    made all the same. The output itself is only read. While products are replaced there
    is no record, so that none says of half of them that they are current.

    Args:
        output: a path or an s3:// URI of a Zarr store or netCDF file.
        storage_options: as for s3fs.
        only: names of PRODUCTS. The others stay as they are in the record.
        colours: the pictures' colour map: `ek500`, or a name of cmocean or matplotlib.
        on_end: called after each product with its name and its entry in the record.

    Returns:
        The record, as written to `<output>.products.json`.

    Raises:
        OutputIncompleteError: the output has no manifest.
        OutputReplacedError: it was replaced meanwhile, by a run that makes its own products.
        ValueError: `only` has an unknown name, or products cannot be written there.
    """
    wanted = set(PRODUCTS if only is None else only)
    if unknown := sorted(wanted - set(PRODUCTS)):
        raise ValueError(f"unknown products {unknown}; known: {sorted(PRODUCTS)}")
    output = output.rstrip("/")
    beside = product_files(output, storage_options)
    body = beside.read(MANIFEST_SUFFIX)
    if body is None:
        raise OutputIncompleteError(output)
    manifest = read_manifest(body, output + MANIFEST_SUFFIX)
    source = CompleteOutput(output, storage_options, manifest, colours)
    files = FilesOfVersion(beside, output, manifest["output"]["sha256"])
    record = source.record_before(files)
    files.remove(PRODUCTS_SUFFIX)
    stopwatch = Stopwatch()
    for name in (name for name in PRODUCTS if name in wanted):
        with stopwatch.stage(name):
            record["products"][name] = _made(name, source, files)
        on_end(name, record["products"][name])
        record["seconds"][name] = round(stopwatch.seconds[name], 3)
    record |= source.described()
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files.write(PRODUCTS_SUFFIX, text.encode())
    return record


def _made(name: str, source: CompleteOutput, files: ProductFiles) -> dict[str, Any]:
    """Make one product; returns its entry in the record."""
    suffix = PRODUCTS[name]
    try:
        return _make(name, source, files)
    except OutputReplacedError:
        raise
    # BLE001: whatever fails must not stop the other products, nor change what was published.
    except Exception as error:  # noqa: BLE001
        _log.warning("%s%s was not made", source.output, suffix, exc_info=True)
        # One of an older output must not stay beside the new one.
        files.remove(suffix)
        return {"state": "failed", "error": f"{type(error).__name__}: {error}"}


def _make(name: str, source: CompleteOutput, files: ProductFiles) -> dict[str, Any]:
    path = source.output.rpartition("/")[2] + PRODUCTS[name]
    if name == "viewer":
        return _make_viewer(source, files)
    body = _picture(source) if name == "echogram" else _thumbnail(source)
    files.write(PRODUCTS[name], body)
    return {
        "state": "made",
        "path": path,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def _make_viewer(source: CompleteOutput, files: ProductFiles) -> dict[str, Any]:
    from flows.products.caption import title_of  # noqa: PLC0415 - as above
    from flows.products.viewer_store import NotApplicableError, write_viewer_store  # noqa: PLC0415 - as above

    name = source.output.rpartition("/")[2]
    described = {
        "title": title_of(source.echodata, source.manifest),
        "source_manifest": name + MANIFEST_SUFFIX,
    }
    with tempfile.TemporaryDirectory(prefix="echodrop-products-") as parent:
        folder = Path(parent) / "viewer.zarr"
        try:
            write_viewer_store(folder, source.echodata, source.gridded, described)
        except NotApplicableError as error:
            files.remove(VIEWER_SUFFIX)
            return {"state": "not_applicable", "reason": str(error)}
        bodies = sorted(path for path in folder.rglob("*") if path.is_file())
        digest = hashlib.sha256()
        for path in bodies:
            digest.update(path.read_bytes())
        entry = {
            "state": "made",
            "path": name + VIEWER_SUFFIX,
            "bytes": sum(path.stat().st_size for path in bodies),
            "objects": len(bodies),
            "sha256": digest.hexdigest(),
        }
        files.write_store(VIEWER_SUFFIX, folder)
    return entry


def _picture(source: CompleteOutput) -> bytes:
    from flows.products.caption import facts_of, title_of  # noqa: PLC0415 - as above
    from flows.products.picture import Caption, draw  # noqa: PLC0415 - as above
    from flows.products.sv.platform import PlatformTrack  # noqa: PLC0415 - as above

    track = PlatformTrack(source.echodata)
    facts = facts_of(source.echodata, source.manifest, track)
    caption = Caption(title_of(source.echodata, source.manifest), facts)
    return draw(source.echogram, caption, track, source.colours).canvas.png()


def _thumbnail(source: CompleteOutput) -> bytes:
    from flows.products.picture import thumbnail_of  # noqa: PLC0415 - as above

    return thumbnail_of(source.echogram, source.colours)


def main() -> int:
    """Make the products of the outputs named on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.products.make", description=__doc__)
    parser.add_argument("outputs", nargs="+", metavar="OUTPUT", help="a path or s3:// URI")
    parser.add_argument("--only", action="append", choices=list(PRODUCTS))
    parser.add_argument(
        "--colours", default=DEFAULT_COLOURS, help="ek500, or of cmocean or matplotlib"
    )
    options = parser.parse_args()
    hold_memory()
    failed = False
    for output in options.outputs:
        try:
            record = make_products(output, only=options.only, colours=options.colours)
        # BLE001: the other outputs are independent.
        except Exception as error:  # noqa: BLE001
            record = {"output": output, "error": f"{type(error).__name__}: {error}"}
        failed |= "error" in record or any(
            product["state"] == "failed" for product in record["products"].values()
        )
        print(json.dumps(record, ensure_ascii=False), flush=True)  # noqa: T201 - the command's result
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
