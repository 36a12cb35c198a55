"""Requests for conversions of local files, and what they publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import xarray as xr

from flows.conversion import convert
from flows.publishing.manifest import manifest_schema
from flows.publishing.publication import Published
from flows.stores.request import ConversionRequest


def request_for(raw: Path, output: Path, model: str = "EK60", **changes: Any) -> ConversionRequest:
    """The request of a Zarr store; `output` is it or its folder, a path may be a `Path`."""
    given = {"raw_file": raw, "output_path": output, "sonar_model": model, "output_type": "zarr"}
    fields: dict[str, Any] = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in {**given, **changes}.items()
    }
    return ConversionRequest(**fields)


def converted(raw: Path, output: Path, model: str = "EK60", **changes: Any) -> Published:
    """Convert a file; its manifest fits the schema."""
    done = convert(request_for(raw, output, model, **changes))
    assert isinstance(done, Published)
    jsonschema.validate(done.manifest, manifest_schema())
    return done


def tree_of(done: Published) -> Any:
    """The open output, as a context."""
    engine = "zarr" if done.output.endswith(".zarr") else "netcdf4"
    return xr.open_datatree(done.output, engine=engine, chunks=None)
