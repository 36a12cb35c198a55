"""What is asked of one conversion, checked when it is asked."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.locations import (
    OUTPUT_SUFFIXES,
    HttpLocation,
    Location,
    OutputLocation,
    OutputType,
    S3Location,
    output_location,
    parse_location,
)
from flows.outcomes import InvalidParameters
from flows.preflight.summary import FORMAT_OF_MODEL
from flows.s3_client import check_options
from flows.sidecars import TAKES_BOT_AND_IDX, Kind
from flows.source import http_headers
from flows.source_version import SourceVersion

VerifyMode = Literal["sampled", "full"]

# Parameters of `convert_params`: metadata for the output, and sidecars.
METADATA: Mapping[str, Literal["text", "number"]] = {
    "platform_name": "text",
    "platform_type": "text",
    "platform_code_ICES": "text",
    "survey_name": "text",
    "water_level": "number",
}
_TYPES: Mapping[str, Any] = {"text": str, "number": int | float}
_SIDECAR_PARAMETERS: Mapping[str, Kind] = {"bot_path": "bot", "idx_path": "idx"}
_INCLUDE_PARAMETERS: Mapping[str, Kind] = {"include_bot": "bot", "include_idx": "idx"}


def _process_owner() -> str:
    return f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """What is asked of one conversion. Docs of the flow's parameters say more.

    Attributes:
        owner: who converts: the flow run's id, or this process.
        run: the manifest's `run` entry apart from the owner.

    Raises:
        InvalidParameters: one is not usable, said with its name and value.
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
    compact: bool = True
    chunks: Mapping[str, int] | None = None
    zarr_format: Literal[2, 3] = 3
    verify: VerifyMode = "sampled"
    owner: str = field(default_factory=_process_owner)
    run: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self._check()
        except ValueError as error:
            raise InvalidParameters(str(error)) from error

    def _check(self) -> None:
        choices: list[tuple[str, object, tuple[object, ...]]] = [
            ("sonar_model", self.sonar_model.upper(), tuple(FORMAT_OF_MODEL)),
            ("output_type", self.output_type, tuple(OUTPUT_SUFFIXES)),
            ("zarr_format", self.zarr_format, (2, 3)),
            ("verify", self.verify, ("sampled", "full")),
        ]
        for name, value, known in choices:
            if value not in known:
                raise ValueError(f"{name} is {value!r}; known are {', '.join(map(str, known))}")
        # Any case is taken, one is used; the dataclass is frozen for everybody else.
        object.__setattr__(self, "sonar_model", self.sonar_model.upper())
        if not self.source.name:
            raise ValueError(f"raw_file {self.raw_file!r} names a folder or bucket, not a file")
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
            # 1 is True to Python, and not to those who look for True.
            if name in _INCLUDE_PARAMETERS and value is not None and type(value) is not bool:
                raise ValueError(f"convert_params {name} is {value!r}, neither true nor false")
            if value and self.sonar_model not in TAKES_BOT_AND_IDX:
                raise ValueError(
                    f"convert_params {name} is {value!r}, but echopype takes no .{kind} with "
                    f"{self.sonar_model}, only with {' and '.join(sorted(TAKES_BOT_AND_IDX))}"
                )

    def _check_metadata(self) -> None:
        known = {**METADATA, **_SIDECAR_PARAMETERS, **_INCLUDE_PARAMETERS}
        if unknown := sorted(map(str, self.convert_params.keys() - known.keys())):
            raise ValueError(
                f"convert_params {unknown} are not known; known are {', '.join(sorted(known))}"
            )
        for name, value in self.metadata.items():
            # True is an int to Python.
            is_one = isinstance(value, _TYPES[METADATA[name]]) and not isinstance(value, bool)
            if not is_one:
                raise ValueError(f"convert_params {name} is {value!r}, no {METADATA[name]}")

    def _check_chunks(self) -> None:
        if self.zarr_format != 3 and self.output_type != "zarr":
            raise ValueError(
                f"zarr_format is {self.zarr_format}, but output_type is {self.output_type}"
            )
        if self.chunks is None:
            return
        if self.output_type != "zarr":
            raise ValueError(f"chunks are of a Zarr store, but output_type is {self.output_type}")
        for dimension, length in self.chunks.items():
            # True is an int to Python.
            if type(length) is not int or length == 0 or length < -1:
                raise ValueError(
                    f"chunks {dimension} is {length!r}: a length is a whole number from 1, or -1"
                )

    @property
    def source(self) -> Location:
        """Where the raw file is."""
        return parse_location(self.raw_file)

    @property
    def output(self) -> OutputLocation:
        """Where the output goes."""
        return output_location(self.output_path, self.source.name, self.output_type)

    @property
    def wanted(self) -> SourceVersion | None:
        """The version that was notified, None where any will do."""
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
    def called_for(self) -> set[Kind]:
        """Kinds of sidecars that `convert_params` insists on."""
        return {
            kind
            for name, kind in _INCLUDE_PARAMETERS.items()
            if self.convert_params.get(name) is True
        }

    @property
    def left_out(self) -> set[Kind]:
        """Kinds of sidecars that `convert_params` switches off."""
        return {
            kind
            for name, kind in _INCLUDE_PARAMETERS.items()
            if self.convert_params.get(name) is False
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """What of `convert_params` the output is to say that its file does not."""
        given = ((name, self.convert_params.get(name)) for name in METADATA)
        return {name: value for name, value in given if value is not None}
