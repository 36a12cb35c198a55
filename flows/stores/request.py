"""The request for one conversion, validated when it is created."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from flows.core.locations import (
    Location,
    OutputLocation,
    OutputType,
    output_location,
    parse_location,
)
from flows.core.outcomes import InvalidParameters
from flows.core.public_uri import public_uri
from flows.core.source_version import SourceVersion
from flows.stores.sidecars import Kind
from flows.stores.sources import check_storage
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
# Parameters whose values a message may show; storage options contain credentials.
_SHOWN = {"output_type", "zarr_format", "verify", "chunks"}


def _process_owner() -> str:
    return f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"


def _invalid(error: ValidationError) -> InvalidParameters:
    faults = []
    for fault in error.errors(include_url=False):
        if fault["type"] == "value_error":
            faults.append(str(fault["ctx"]["error"]))
            continue
        value = ""
        if fault["loc"] and fault["loc"][0] in _SHOWN:
            value = f" ({' '.join(map(str, fault['loc']))} is {fault['input']!r})"
        faults.append(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}{value}")
    return InvalidParameters("; ".join(faults))


class Parameters(BaseModel):
    """Checked parameters; None stands for a parameter's default.

    Raises:
        InvalidParameters: with the name of each invalid parameter and, unless it may be
            secret, its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - as the fields declare them
        try:
            super().__init__(**{name: each for name, each in given.items() if each is not None})
        except ValidationError as error:
            raise _invalid(error) from None


class ConversionRequest(Parameters):
    """The request for one conversion. The flow's docstring describes the other fields.

    Attributes:
        identity: of an entry in a batch: the identity that its own run would have.
        forced: of an entry in a batch: convert it even if this version is published.
        skip_published: convert nothing if this version of the source is published, even with
            `overwrite`.
        owner: the owner of the claim: the flow run's id, or this process.
        run: the manifest's `run` entry without the owner.
    """

    raw_file: str
    sonar_model: str
    output_path: str
    output_type: OutputType = "netcdf"
    xml_path: str | None = None
    convert_params: dict[str, Any] = {}
    input_storage_options: dict[str, Any] = {}
    output_storage_options: dict[str, Any] = {}
    overwrite: bool = False
    source_etag: str | None = None
    source_version_id: str | None = None
    sonar_model_source: str | None = None
    sidecar_etags: dict[str, str] = {}
    allow_partial: bool = False
    corrections: bool = True
    compact: bool = True
    chunks: dict[str, StrictInt] | None = None
    zarr_format: Literal[2, 3] = 3
    verify: VerifyMode = "sampled"
    pause_above_bytes: int | None = None
    identity: str | None = None
    forced: bool = False
    skip_published: bool = False
    owner: str = Field(default_factory=_process_owner)
    run: dict[str, Any] = {}

    @field_validator("sonar_model")
    @classmethod
    def _any_case(cls, model: str) -> str:
        if model.upper() not in SONAR_MODELS:
            raise ValueError(f"sonar_model is {model!r}; known values: {', '.join(SONAR_MODELS)}")
        return model.upper()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.source.name:
            raise ValueError(
                f"raw_file {public_uri(self.raw_file)!r} is a folder or bucket, not a file"
            )
        sidecars = [self.xml_path, *self.given_sidecars.values(), *self.sidecar_etags]
        inputs = [self.source, *(parse_location(uri) for uri in sidecars if uri is not None)]
        _check_storage("input_storage_options", self.input_storage_options, inputs)
        _check_storage("output_storage_options", self.output_storage_options, [self.output])
        self._check_convert_params()
        self._check_chunks()
        return self

    def _check_convert_params(self) -> None:
        known = {**METADATA, **_SIDECAR_PARAMETERS, **_INCLUDE_PARAMETERS}
        if unknown := sorted(map(str, self.convert_params.keys() - known.keys())):
            raise ValueError(f"unknown convert_params {unknown}; known: {', '.join(sorted(known))}")
        for name, value in self.metadata.items():
            # True is an int in Python.
            if not isinstance(value, _TYPES[METADATA[name]]) or isinstance(value, bool):
                # TRY004: pydantic collects only ValueErrors.
                raise ValueError(f"convert_params {name} is {value!r}, not a {METADATA[name]}")  # noqa: TRY004
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

    def _check_chunks(self) -> None:
        for name, is_set in (("zarr_format", self.zarr_format != 3), ("chunks", self.chunks)):
            if is_set and self.output_type != "zarr":
                value = getattr(self, name)
                raise ValueError(f"{name} is {value}, but output_type is {self.output_type}")
        for dimension, length in (self.chunks or {}).items():
            if length == 0 or length < -1:
                raise ValueError(
                    f"chunks {dimension} is {length}: a length is a positive integer, or -1"
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
        return self._included(wanted=True)

    @property
    def excluded_sidecars(self) -> set[Kind]:
        """Kinds of sidecars that `convert_params` switches off."""
        return self._included(wanted=False)

    def _included(self, *, wanted: bool) -> set[Kind]:
        given = self.convert_params
        return {kind for name, kind in _INCLUDE_PARAMETERS.items() if given.get(name) is wanted}

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata in `convert_params`, which the output gets in addition to the file's."""
        given = ((name, self.convert_params.get(name)) for name in METADATA)
        return {name: value for name, value in given if value is not None}


def _check_storage(name: str, options: Mapping[str, Any], locations: Sequence[Location]) -> None:
    try:
        for location in locations:
            check_storage(location, options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
