"""Finds the raw files that the command line's arguments mean, and where each output goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from echodrop.conversions import Job
from flows.core.locations import (
    OUTPUT_SUFFIXES,
    HttpLocation,
    LocalLocation,
    Location,
    OutputType,
    S3Location,
    output_location,
    parse_location,
)
from flows.core.outcomes import InvalidParameters
from flows.core.public_uri import public_uri
from flows.detected_model import is_sidecar
from flows.stores.errors import named_ends
from flows.stores.object_store import ObjectStore
from flows.stores.s3_client import s3_client
from sonar_models import models_by_extension


def find_inputs(
    raws: Sequence[str], out: str, output_type: OutputType, fields: dict[str, Any]
) -> tuple[list[Job], int]:
    """The raw files that the arguments mean, and the number of sidecars among these.

    A file that is named twice comes once. `fields` are those of each request.

    A folder, or an `s3://` prefix that ends in `/`, stands for the raw files below it, by their
    extensions (`sonar_models`); their subfolders are kept below `out`. `out` is a folder, or for
    a single file the output itself.

    Raises:
        InvalidParameters: a folder holds no raw file, nothing but sidecars is given, two files
            have the same output, or several files have one output.
        AccessDenied, TransientFault: S3 refuses, or did not answer.
    """
    found: dict[str, Job] = {}
    sidecars, options = 0, fields.get("input_storage_options", {})
    many = len(raws) > 1
    for raw in raws:
        try:
            location = parse_location(raw)
        except ValueError as error:
            raise InvalidParameters(str(error)) from error
        if is_folder(location, raw):
            many = True
            inside = sorted(_below(location, options))
            if not inside:
                raise InvalidParameters(f"{raw}: holds no raw files (.raw, .01A, .azfp, .ad2cp)")
            for folder, uri, size in inside:
                found.setdefault(uri, Job(uri, f"{out.rstrip('/')}/{folder}", fields, size))
        elif len(raws) > 1 and is_sidecar(location.name):
            sidecars += 1
        else:
            # The URI of a URL lacks what gives access.
            given = location.url if isinstance(location, HttpLocation) else location.uri
            found.setdefault(location.uri, Job(given, out, fields, _local_size(location)))
    if not found:
        raise InvalidParameters("only sidecars (.bot, .idx, .xml) are given, and no raw file")
    if many and out.endswith(tuple(OUTPUT_SUFFIXES.values())):
        raise InvalidParameters(f"{out}: is one output, so give one file, or a folder for several")
    _check_outputs(list(found.values()), output_type)
    return list(found.values()), sidecars


def is_folder(location: Location, raw: str) -> bool:
    """Whether an argument stands for the raw files below it."""
    if isinstance(location, LocalLocation):
        return location.path.is_dir()
    return isinstance(location, S3Location) and (raw.endswith("/") or not location.key)


def _local_size(location: Location) -> int | None:
    if isinstance(location, LocalLocation) and location.path.is_file():
        return location.path.stat().st_size
    return None


def _below(location: Location, options: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Each raw file below a folder: its folder below that one ('' or ending in `/`), URI, and size."""
    if isinstance(location, LocalLocation):
        root = location.path
        names: Iterator[tuple[str, int]] = (
            (path.relative_to(root).as_posix(), path.stat().st_size)
            for path in root.rglob("*")
            if models_by_extension(path.name) and path.is_file()
        )
    else:
        assert isinstance(location, S3Location)  # noqa: S101 - `is_folder`
        names = _keys(location, options)
    for name, size in names:
        folder, slash, _ = name.rpartition("/")
        uri = location.child(name).uri
        if {".", ".."} & set(folder.split("/")):
            # On a disk it would lead out of the folder of the outputs.
            raise InvalidParameters(f"{uri}: has a folder '.' or '..': convert it by itself")
        yield folder + slash, uri, size


def _keys(folder: S3Location, options: dict[str, Any]) -> Iterator[tuple[str, int]]:
    with named_ends(folder.uri):
        listing = ObjectStore(s3_client(options), folder.bucket).list(folder.key)
    for key, entry in listing.items():
        if models_by_extension(key):
            yield key.removeprefix(folder.key), entry.size


def _check_outputs(inputs: Sequence[Job], output_type: OutputType) -> None:
    sources: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for each in inputs:
        try:
            output = output_location(each.out, parse_location(each.raw).name, output_type)
        except ValueError as error:
            raise InvalidParameters(str(error)) from error
        # Many disks do not tell upper from lower case.
        same = output.uri.casefold() if isinstance(output, LocalLocation) else output.uri
        sources[same].append((output.uri, public_uri(each.raw)))
    for found in sources.values():
        if len(found) > 1:
            raws = [raw for _, raw in found]
            raise InvalidParameters(
                f"{found[0][0]}: would be the output of {' and '.join(raws)}: "
                "convert them to different folders"
            )
