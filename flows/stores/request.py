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

# Parameters whose values a message may show; storage options contain credentials.
_SHOWN = {"output_type", "zarr_format", "verify", "chunks", "convert_params"}
_KINDS: tuple[Kind, ...] = ("bot", "idx")


def _process_owner() -> str:
    return f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"


def _invalid(error: ValidationError) -> InvalidParameters:
    faults = []
    for fault in error.errors(include_url=False):
        if fault["type"] == "value_error":
            faults.append(str(fault["ctx"]["error"]))
            continue
        if fault["type"] == "extra_forbidden" and fault["loc"][0] == "convert_params":
            known = ", ".join(sorted(ConvertParams.model_fields))
            faults.append(f"unknown convert_params {[fault['loc'][-1]]}; known: {known}")
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


class ConvertParams(BaseModel):
    """Metadata that the file does not have; sidecars in other folders, required or left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    platform_name: str | None = None
    platform_type: str | None = None
    platform_code_ICES: str | None = None  # noqa: N815 - SONAR-netCDF4's name
    survey_name: str | None = None
    water_level: float | None = None
    bot_path: str | None = None
    idx_path: str | None = None
    include_bot: bool | None = None
    include_idx: bool | None = None


class ConversionRequest(Parameters):
    """The request for one conversion. The flow's docstring describes the other fields.

    Attributes:
        identity: of an entry in a batch: the identity that its own run would have.
        forced: of an entry in a batch: convert it even if this version is published.
        skip_published: convert nothing if this version of the source is published, even with
            `overwrite`.
        run: the manifest's `run` entry without the owner.
    """

    raw_file: str
    sonar_model: str
    output_path: str
    output_type: OutputType = "netcdf"
    xml_path: str | None = None
    convert_params: ConvertParams = ConvertParams()
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
        self._check_sidecars()
        self._check_chunks()
        return self

    def _check_sidecars(self) -> None:
        if self.sonar_model in TAKE_BOT_AND_IDX:
            return
        for name, value in self.convert_params:
            kind = name.removeprefix("include_").removesuffix("_path")
            if kind in _KINDS and value:
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
        named = {kind: getattr(self.convert_params, f"{kind}_path") for kind in _KINDS}
        return {kind: uri for kind, uri in named.items() if uri}

    @property
    def required_sidecars(self) -> set[Kind]:
        """Kinds of sidecars that `convert_params` requires."""
        return self._included(wanted=True)

    @property
    def excluded_sidecars(self) -> set[Kind]:
        """Kinds of sidecars that `convert_params` switches off."""
        return self._included(wanted=False)

    def _included(self, *, wanted: bool) -> set[Kind]:
        return {
            kind for kind in _KINDS if getattr(self.convert_params, f"include_{kind}") is wanted
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata in `convert_params`, which the output gets in addition to the file's."""
        sidecars = {f"{kind}_path" for kind in _KINDS} | {f"include_{kind}" for kind in _KINDS}
        return self.convert_params.model_dump(exclude=sidecars, exclude_none=True)


def _check_storage(name: str, options: Mapping[str, Any], locations: Sequence[Location]) -> None:
    try:
        for location in locations:
            check_storage(location, options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
