"""What `convert` and `check` do, in Python and at a terminal."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from echodrop import Conversion
from flows.core.locations import (
    OUTPUT_SUFFIXES,
    HttpLocation,
    LocalLocation,
    OutputType,
    parse_location,
)
from flows.core.outcomes import BadFile, InvalidParameters
from flows.core.public_uri import public_uri
from flows.detected_model import detected_model
from flows.stores.download import fetch
from flows.stores.errors import named_ends
from flows.stores.request import ConversionRequest
from flows.walk import FileSummary, preflight
from sonar_models import models_by_extension

# An ending that is meant as a file's; `2007.01` is a folder's name.
_ENDING = re.compile(r"\.[A-Za-z]\w*")


def requested(
    raw: str,
    out: str,
    *,
    model: str | None = None,
    output_type: OutputType | None = None,
    **fields: Any,  # noqa: ANN401 - as ConversionRequest declares them
) -> ConversionRequest:
    """The request for one conversion; `fields` are others of `ConversionRequest`.

    Raises:
        InvalidParameters: an argument is invalid.
        ConversionFailure, TransientFault: the model cannot be detected, see `detected_model`.
    """
    chosen = output_type_of(out, output_type)
    return ConversionRequest(
        raw_file=raw,
        output_path=out,
        output_type=chosen,
        sonar_model=model or detected_model(raw, dict(fields.get("input_storage_options", {}))),
        sonar_model_source="caller" if model else "bytes",
        **fields,
    )


def output_type_of(out: str, output_type: OutputType | None) -> OutputType:
    """The type of the output: as given, or from the ending of `out`, otherwise zarr.

    Raises:
        InvalidParameters: `out` is invalid, ends as a file of another type, or contradicts the
            type that is given.
    """
    for known, suffix in OUTPUT_SUFFIXES.items():
        if out.endswith(suffix):
            if output_type not in {None, known}:
                raise InvalidParameters(f"{out}: its ending contradicts the type {output_type}")
            return known
    try:
        location = parse_location(out)
    except ValueError as error:
        raise InvalidParameters(str(error)) from error
    if isinstance(location, HttpLocation):
        raise InvalidParameters(f"{public_uri(out)}: an output is a path or s3://, not http(s)")
    name = location.name
    is_folder = out.endswith("/") or Path(out).is_dir()
    ends_as_file = _ENDING.fullmatch(PurePosixPath(name).suffix) or models_by_extension(name)
    if ends_as_file and not is_folder:
        raise InvalidParameters(
            f"{out}: an output ends in .zarr or .nc; for a folder of this name write {out}/"
        )
    return output_type or "zarr"


def converted(
    request: ConversionRequest, progress: Callable[[str, float], None] | None = None
) -> Conversion:
    """Convert; errors as for `echodrop.convert`."""
    from flows.conversion import convert  # noqa: PLC0415 - xarray and zarr: a second
    from flows.publishing.publication import Skipped  # noqa: PLC0415 - as above

    done = convert(request, progress)
    if not isinstance(done, Skipped):
        return Conversion(done.output, done.manifest)
    assert done.manifest is not None  # noqa: S101 - only a notified version can be superseded
    return Conversion(done.output, done.manifest, done.reason)


def checked(raw: str, model: str | None, options: dict[str, Any]) -> FileSummary:
    """Walk over a file's datagrams; arguments and errors as for `echodrop.check`."""
    try:
        model = model or detected_model(raw, options)
    except BadFile:
        # The most common format: the walk reports the damage.
        model = "EK60"
    try:
        location = parse_location(raw)
        with tempfile.TemporaryDirectory(prefix="echodrop-") as folder, named_ends(location.uri):
            if isinstance(location, LocalLocation):
                path = location.path
                if path.is_dir():
                    raise InvalidParameters(f"{raw}: is a folder; give one raw file")
            else:
                path = fetch(location, Path(folder, "raw"), options).path
            return dataclasses.replace(preflight(path, model), file=location.name)
    except FileNotFoundError as error:
        raise BadFile(public_uri(raw), "the file does not exist") from error
    except ValueError as error:
        raise InvalidParameters(str(error)) from error
