"""The request for one conversion, validated when it is created."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.core.locations import (
    OUTPUT_SUFFIXES,
    HttpLocation,
    Location,
    OutputLocation,
    OutputType,
    S3Location,
    output_location,
    parse_location,
)
from flows.core.outcomes import InvalidParameters
from flows.core.public_uri import public_uri
from flows.core.source_version import SourceVersion
from flows.stores.range_readers import http_headers
from flows.stores.s3_client import check_options
from flows.stores.sidecars import Kind
from sonar_models import SONAR_MODELS, TAKE_BOT_AND_IDX

VerifyMode = Literal["sampled", "full"]

# Keys of `convert_params`: metadata for the output, and sidecars.
METADATA: Mapping[str, Literal["string", "number"]] = {
    "platform_name": "string",
    "platform_type": "string",
    "platform_code_ICES": "string",
    "survey_name": "string",
    "water_level": "number",
}
_TYPES: Mapping[str, Any] = {"string": str, "number": int | float}
_SIDECAR_PARAMETERS: Mapping[str, Kind] = {"bot_path": "bot", "idx_path": "idx"}
_INCLUDE_PARAMETERS: Mapping[str, Kind] = {"include_bot": "bot", "include_idx": "idx"}


def _process_owner() -> str:
    return f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """The request for one conversion. The flow's docstring describes the other fields.

    Attributes:
        skip_published: convert nothing if this version of the source is published, even with
            `overwrite`.
        owner: the owner of the claim: the flow run's id, or this process.
        run: the manifest's `run` entry without the owner.

    Raises:
        InvalidParameters: a field is invalid; the message has its name and value.
    """

    raw_file: str
    sonar_model: str
    output_path: str
    output_type: OutputType = "netcdf"
    xml_path: str | None = None
    convert_params: Mapping[str, Any] = field(default_factory=dict)
    input_storage_options: Mapping[str, Any] = field(default_factory=dict)
    output_storage_options: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    source_etag: str | None = None
    source_version_id: str | None = None
    sonar_model_source: str | None = None
    sidecar_etags: Mapping[str, str] = field(default_factory=dict)
    allow_partial: bool = False
    corrections: bool = True
    compact: bool = True
    chunks: Mapping[str, int] | None = None
    zarr_format: Literal[2, 3] = 3
    verify: VerifyMode = "sampled"
    skip_published: bool = False
    owner: str = field(default_factory=_process_owner)
    run: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self._check()
        except ValueError as error:
            raise InvalidParameters(str(error)) from error

    def _check(self) -> None:
        choices: list[tuple[str, object, tuple[object, ...]]] = [
            ("sonar_model", self.sonar_model.upper(), tuple(SONAR_MODELS)),
            ("output_type", self.output_type, tuple(OUTPUT_SUFFIXES)),
            ("zarr_format", self.zarr_format, (2, 3)),
            ("verify", self.verify, ("sampled", "full")),
        ]
        for name, value, known in choices:
            if value not in known:
                raise ValueError(f"{name} is {value!r}; known values: {', '.join(map(str, known))}")
        # Any case is accepted and normalized; only this method changes the frozen dataclass.
        object.__setattr__(self, "sonar_model", self.sonar_model.upper())
        if not self.source.name:
            raise ValueError(
                f"raw_file {public_uri(self.raw_file)!r} is a folder or bucket, not a file"
            )
        sidecars = [self.xml_path, *self.given_sidecars.values(), *self.sidecar_etags]
        inputs = [self.source, *(parse_location(uri) for uri in sidecars if uri is not None)]
        self._check_storage("input_storage_options", self.input_storage_options, inputs)
        self._check_storage("output_storage_options", self.output_storage_options, [self.output])
        self._check_sidecars()
        self._check_chunks()
        self._check_metadata()

    def _check_storage(
        self, name: str, options: Mapping[str, Any], locations: Sequence[Location]
    ) -> None:
        try:
            if any(isinstance(location, S3Location) for location in locations):
                check_options(options)
            if any(isinstance(location, HttpLocation) for location in locations):
                http_headers(options)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _check_sidecars(self) -> None:
        for name, kind in {**_SIDECAR_PARAMETERS, **_INCLUDE_PARAMETERS}.items():
            value = self.convert_params.get(name)
            # 1 == True in Python, but code that checks `is True` would not accept it.
            if name in _INCLUDE_PARAMETERS and value is not None and type(value) is not bool:
                raise ValueError(f"convert_params {name} is {value!r}, not true or false")
            if value and self.sonar_model not in TAKE_BOT_AND_IDX:
                raise ValueError(
                    f"convert_params {name} is {value!r}, but {self.sonar_model} writes no "
                    f".{kind}, only {', '.join(TAKE_BOT_AND_IDX)} do"
                )

    def _check_metadata(self) -> None:
        known = {**METADATA, **_SIDECAR_PARAMETERS, **_INCLUDE_PARAMETERS}
        if unknown := sorted(map(str, self.convert_params.keys() - known.keys())):
            raise ValueError(f"unknown convert_params {unknown}; known: {', '.join(sorted(known))}")
        for name, value in self.metadata.items():
            # True is an int in Python.
            is_one = isinstance(value, _TYPES[METADATA[name]]) and not isinstance(value, bool)
            if not is_one:
                raise ValueError(f"convert_params {name} is {value!r}, not a {METADATA[name]}")

    def _check_chunks(self) -> None:
        if self.zarr_format != 3 and self.output_type != "zarr":
            raise ValueError(
                f"zarr_format is {self.zarr_format}, but output_type is {self.output_type}"
            )
        if self.chunks is None:
            return
        if self.output_type != "zarr":
            raise ValueError(f"chunks apply only to Zarr, but output_type is {self.output_type}")
        for dimension, length in self.chunks.items():
            # True is an int in Python.
            if type(length) is not int or length == 0 or length < -1:
                raise ValueError(
                    f"chunks {dimension} is {length!r}: a length is a positive integer, or -1"
                )

    @property
    def source(self) -> Location:
        """The location of the raw file."""
        return parse_location(self.raw_file)

    @property
    def output(self) -> OutputLocation:
        """The location of the output."""
        return output_location(self.output_path, self.source.name, self.output_type)

    @property
    def wanted(self) -> SourceVersion | None:
        """The version in the notification, None for any version."""
        version = SourceVersion(self.source_etag or None, self.source_version_id)
        return version if version.is_known else None

    @property
    def given_sidecars(self) -> dict[Kind, str]:
        """URIs of the sidecars that `convert_params` names."""
        return {
            kind: str(self.convert_params[name])
            for name, kind in _SIDECAR_PARAMETERS.items()
            if self.convert_params.get(name)
        }

    @property
    def required_sidecars(self) -> set[Kind]:
        """Kinds of sidecars that `convert_params` requires."""
        return {
            kind
            for name, kind in _INCLUDE_PARAMETERS.items()
            if self.convert_params.get(name) is True
        }

    @property
    def excluded_sidecars(self) -> set[Kind]:
        """Kinds of sidecars that `convert_params` switches off."""
        return {
            kind
            for name, kind in _INCLUDE_PARAMETERS.items()
            if self.convert_params.get(name) is False
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata in `convert_params`, which the output gets in addition to the file's."""
        given = ((name, self.convert_params.get(name)) for name in METADATA)
        return {name: value for name, value in given if value is not None}
