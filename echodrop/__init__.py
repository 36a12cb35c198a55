"""Converts raw echosounder files: plain functions, without a server, Prefect or telemetry.

    from echodrop import check, convert, open_output

    done = convert("D20070724-T042400.raw", "out/")
    if done.missing:
        print("partial:", done.missing)
    echodata = open_output(done.output)

Every failure of `convert` and `check` is a `ConversionFailure` (the same call would fail again) or a
`TransientFault` (try later); their subclasses, which `echodrop` exports too, have the facts as attributes.
Besides, `convert` raises `MemoryError`, and in the main thread `SystemExit` on SIGTERM and SIGHUP, if the
program does not handle these: it cleans up first. `open_output` raises `FileNotFoundError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from flows.walk.summary import FileSummary

# Those that are not defined here are imported by `__getattr__`.
__all__ = [
    "AccessDenied",
    "Archived",
    "BadFile",
    "BadSidecar",
    "Conversion",
    "ConversionFailure",
    "DiskFault",
    "InvalidParameters",
    "MissingSidecar",
    "OutputConflict",
    "OutputMismatch",
    "SourceChanged",
    "TransientFault",
    "UnsupportedDatagram",
    "WrongModel",
    "check",
    "convert",
    "main",
    "open_output",
]


@dataclass(frozen=True)
class Conversion:
    """The result of `convert`.

    Attributes:
        output: path or URI of the output.
        manifest: what the file held, what was verified, and with which versions
            (docs/architecture.md); it is also beside the output.
        skipped: why nothing was written (the output was already published), else None.
    """

    output: str
    manifest: Mapping[str, Any]
    skipped: str | None = None

    @property
    def missing(self) -> str | None:
        """What the raw file holds and the output lacks, in sentences; None if nothing."""
        missing: str | None = self.manifest["missing"]
        return missing

    @property
    def partial(self) -> bool:
        """Whether only the intact part of a damaged or not wholly supported file was converted."""
        walked = self.manifest["preflight"]
        return walked["condition"] != "intact" or walked["unsupported"] is not None


def convert(
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | None = None,
    xml: str | os.PathLike[str] | None = None,
    type: Literal["zarr", "netcdf"] | None = None,  # noqa: A002 - as the command's option
    overwrite: bool = False,
    allow_partial: bool = False,
    verify: Literal["sampled", "full"] = "sampled",
    platform: str | None = None,
    survey: str | None = None,
    water_level: float | None = None,
    storage_options: Mapping[str, Any] | None = None,
    output_storage_options: Mapping[str, Any] | None = None,
    corrections: bool = True,
    compact: bool = True,
    chunks: Mapping[str, int] | None = None,
    zarr_format: Literal[2, 3] = 3,
    progress: Callable[[str, float], None] | None = None,
) -> Conversion:
    """Convert one raw file to a verified Zarr or netCDF output, in this process.

    The output appears as a whole or not at all, was read back and matches. The call may be
    repeated: what is published already is skipped.

    Args:
        raw: a path, `s3://bucket/key` (the key unescaped) or an http(s) URL.
        out: a folder or `s3://bucket/prefix`, or the output itself if it ends in .zarr or .nc.
        model: EK60, ES70, EK80, ES80, EA640, AZFP, AZFP6 or AD2CP; None to detect it from
            the file's first bytes.
        xml: the settings XML of an AZFP file.
        type: None takes it from the ending of `out`, otherwise zarr.
        overwrite: replace an output that was made from another file or version.
        allow_partial: convert the intact part of a damaged file; `missing` says what it lacks.
        verify: `full` compares the whole output with the data, not only samples of it.
        platform: name of the ship or platform, for the output's Platform group.
        survey: name of the survey.
        water_level: distance of the water level from the platform's origin, in m.
        storage_options: of `raw` and `xml` in s3fs's form (`anon`, `endpoint_url`, ...).
        output_storage_options: of `out`, in the same form.
        corrections: take the file's values where echopype changes or drops them.
        compact: compress losslessly; False writes as echopype does.
        chunks: dimension to chunk length, for the sample variables of a Zarr store.
        zarr_format: 3, or 2 for older readers.
        progress: called with the name of the stage and the done fraction of it, 0 to 1.

    Raises:
        BadFile: the file does not exist, is damaged, or no known sonar wrote it.
        WrongModel, MissingSidecar, BadSidecar, UnsupportedDatagram: see each class.
        OutputConflict: the output was made from another file, and `overwrite` is off.
        InvalidParameters: an argument is invalid (also a ValueError).
        AccessDenied, Archived, DiskFault: the store or disk refuses.
        SourceChanged: the file changed while it was read.
        OutputMismatch: the data read back is not the data written.
        TransientFault: the store did not answer, or another process writes the same output.
        MemoryError: the memory is full.
        SystemExit: SIGTERM or SIGHUP came, and this is the main thread and nothing else handles it.
    """
    from echodrop.requests import converted, requested

    request = requested(
        os.fspath(raw),
        os.fspath(out),
        model=model,
        output_type=type,
        xml_path=None if xml is None else os.fspath(xml),
        convert_params={
            "platform_name": platform,
            "survey_name": survey,
            "water_level": water_level,
        },
        input_storage_options=dict(storage_options or {}),
        output_storage_options=dict(output_storage_options or {}),
        overwrite=overwrite,
        allow_partial=allow_partial,
        verify=verify,
        corrections=corrections,
        compact=compact,
        chunks=chunks,
        zarr_format=zarr_format,
    )
    return converted(request, progress)


def check(
    raw: str | os.PathLike[str],
    model: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> FileSummary:
    """Walk over the datagrams of a raw file, without converting it.

    A remote file is downloaded to a temporary folder for it.

    Args:
        raw: a path, `s3://bucket/key` or an http(s) URL.
        model: as for `convert`; a file that no known sonar wrote is walked as EK60, so that
            the summary says what is wrong with it.
        storage_options: of `raw`, in s3fs's form.

    Returns:
        The summary: `condition` (`intact`, `truncated`, `hole`, `joined`, `empty` or
            `not_this_format`), `damage` in a sentence, whole `pings` by channel, `first_time`
            and `last_time`, `bytes_unaccounted`, `missing`; `as_json()` has all of it.

    Raises:
        BadFile: the file does not exist.
        InvalidParameters: the model is unknown, or the file is a sidecar.
        AccessDenied, Archived, DiskFault, TransientFault: the store or disk refuses.
    """
    from echodrop.requests import checked

    return checked(os.fspath(raw), model, dict(storage_options or {}))


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of any type
    """Import what is used: `import echodrop` stays quick."""
    # ruff: noqa: PLC0415
    if name == "open_output":
        from flows.products.opened_output import open_output

        return open_output
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flows.core import outcomes

    return getattr(outcomes, name)


def main() -> None:
    """Run the command line."""
    import sys

    from echodrop.command_line import app as command_line

    try:
        command_line()
    finally:
        if (out := sys.__stdout__) is not None:
            try:
                out.flush()
            except BrokenPipeError:
                # The reader has stopped, as `head` does: no error of the command. Python flushes
                # once more when it ends, and would report the error then.
                os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
