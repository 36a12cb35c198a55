"""The Prefect flow that converts one raw sonar file.

The tasks import the heavy packages, so that a run with invalid parameters fails within
a second, and loading the flow does not take the four seconds of echopype's import.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, task
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.logging import get_run_logger
from prefect.runtime import deployment

from flows.core.outcomes import ConversionFailure, TransientFault
from flows.core.public_uri import public_uri
from flows.core.transient_faults import retry_step
from flows.publishing.publication import Published, Skipped
from flows.runs.failed_runs import failed_run, forget_outcome
from flows.runs.failure_hooks import REPORTING
from flows.runs.run_products import make_products_of
from flows.runs.run_progress import ProgressArtifact, show_manifest
from flows.runs.run_states import CONVERTING, completed_state, end_out_of_memory, this_run
from flows.runs.time_limit import source_bytes, time_limit, time_limited
from flows.stores.request import ConversionRequest

if TYPE_CHECKING:
    from flows.conversion import OpenedRaw

# An operator has a week to answer; a run without a deployment polls at this interval.
PAUSE_SECONDS = 7 * 24 * 3600
PAUSE_POLL_SECONDS = 10


@task(
    name="Open Raw File",
    # Replaces the result when Prefect only visualizes the flow.
    viz_return_value=Skipped("", "drawn"),
    **CONVERTING,
)
def open_raw_file(request: ConversionRequest) -> OpenedRaw | Skipped:
    """Fetch the raw file and its sidecars, check every datagram, and parse it."""
    from flows.conversion import open_raw  # noqa: PLC0415 - see the module's docstring

    with ProgressArtifact(f"opening {public_uri(request.raw_file)}", last="open") as progress:
        return open_raw(request, progress)


@task(
    name="Save Converted File",
    viz_return_value=Skipped("", "drawn"),
    **CONVERTING,
)
def save_converted_file(opened: OpenedRaw | Skipped) -> Published | Skipped:
    """Encode losslessly, publish only complete outputs, read back and compare."""
    from flows.conversion import save  # noqa: PLC0415 - see the module's docstring

    if isinstance(opened, Skipped):
        return opened
    with ProgressArtifact(f"saving {opened.request.output.uri}", first="encode") as progress:
        saved = save(opened, progress)
    if isinstance(saved, Published):
        show_manifest(saved.manifest)
        if missing := saved.manifest["missing"]:
            get_run_logger().warning("missing: %s", missing)
    return saved


@flow(name="convert-raw-sonar", **REPORTING)
def convert_raw_sonar(
    raw_file: str,
    sonar_model: str,
    xml_path: str | None = None,
    convert_params: dict[str, Any] | None = None,
    input_storage_options: dict[str, Any] = {},  # noqa: B006 - the contract's default, never changed
    *,
    output_path: str,
    output_type: Literal["netcdf", "zarr"] = "netcdf",
    overwrite: bool = False,
    output_storage_options: dict[str, Any] = {},  # noqa: B006 - the contract's default, never changed
    source_etag: str | None = None,
    source_version_id: str | None = None,
    sonar_model_source: str | None = None,
    sidecar_etags: dict[str, str] | None = None,
    allow_partial: bool = False,
    corrections: bool = True,
    compact: bool = True,
    chunks: dict[str, int] | None = None,
    zarr_format: Literal[2, 3] = 3,
    verify: Literal["sampled", "full"] = "sampled",
    pause_above_bytes: int | None = None,
) -> str:
    """Convert one raw echosounder file to a verified Zarr or netCDF output.

    The run ends Completed; Completed with the name Skipped if nothing was written; or
    Failed with a tag that names its outcome, such as `outcome:BadFile` (WrongModel,
    MissingSidecar, BadSidecar, UnsupportedDatagram, SourceChanged, OutputMismatch,
    OutputConflict, AccessDenied, Archived, DiskFault, InvalidParameters; TransientFault,
    OutputClaimed or ClaimLost after minutes of retries), with the outcome, the file and the
    cause in the message; TimedOut if it took far longer than a file of its size may; or
    Crashed if it ran out of memory.

    Args:
        raw_file: `s3://bucket/key` with the key unescaped, `http(s)://`, or a path.
        sonar_model: EK60, ES70, EK80, ES80, EA640, AZFP, AZFP6 or AD2CP.
        xml_path: settings XML of the deployment; required for AZFP.
        convert_params: metadata that the file does not have (`platform_name`, `platform_type`,
            `platform_code_ICES`, `survey_name`, `water_level` in m); `bot_path`,
            `idx_path` name sidecars in another folder; `include_bot` and `include_idx`
            require them if true and leave them out if false.
        input_storage_options: storage options of the source in s3fs's form (`anon`,
            `endpoint_url`, ...).
        output_path: the output if it ends in `.zarr` or `.nc`, else its folder.
        output_type: `netcdf` or `zarr`.
        overwrite: whether a published output may be replaced.
        output_storage_options: storage options of the output in s3fs's form.
        source_etag: entity tag of the version to convert; if there is a newer version,
            the run ends Skipped.
        source_version_id: its version id in a versioned bucket.
        sonar_model_source: how the model was determined, for the manifest.
        sidecar_etags: URI to entity tag of the sidecars in the notification.
        allow_partial: convert the intact part of a damaged file, and report what is missing.
        corrections: False leaves echopype's values where they contradict a Simrad file,
            and leaves out what echopype drops; the manifest names both
            (docs/corrections.md).
        compact: False uses echopype's own encoding.
        chunks: dimension to chunk length, for the sample variables of a Zarr store.
        zarr_format: 3, or 2 for older readers.
        verify: `full` reads the whole output back, not only samples of it.
        pause_above_bytes: a larger file, or one of unknown size, waits until an
            operator resumes the run in the UI.

    Returns:
        The URI or path of the output.
    """
    # Must come first: `locals()` has only the parameters here.
    given = dict(locals())
    forget_outcome()
    try:
        request = ConversionRequest(**given, **this_run())
        if request.pause_above_bytes is not None:
            _wait_for_operator(request, request.pause_above_bytes)
        limit = time_limit([source_bytes(request)])
        with (
            time_limited(convert_raw_sonar, limit),
            closing(open_raw_file(request)) as opened,
        ):
            saved = save_converted_file(opened)
    except (ConversionFailure, TransientFault) as failure:
        return failed_run(failure, raw_file)  # type: ignore[return-value]  # Prefect takes a state for its data
    except MemoryError as error:
        return end_out_of_memory(error)  # type: ignore[return-value]  # Prefect takes a state for its data
    if saved.manifest is not None:
        make_products_of([request])
    return completed_state(saved)  # type: ignore[return-value]  # Prefect takes a state for its data


def _wait_for_operator(request: ConversionRequest, pause_above_bytes: int) -> None:
    """Pause until an operator resumes the run, if the file is large or of unknown size."""
    from flows.stores.sources import current_source  # noqa: PLC0415 - see the module's docstring

    options = request.input_storage_options
    now = retry_step(lambda: current_source(request.source, options))
    # A missing file is reported by the fetch.
    if now is None or (now.size is not None and now.size <= pause_above_bytes):
        return
    size = f"{now.size:,} bytes" if now.size is not None else "unknown size"
    get_run_logger().warning(
        "%s: %s, more than %s bytes: waiting for an operator to resume the run",
        public_uri(request.raw_file),
        size,
        f"{pause_above_bytes:,}",
    )
    # The key lets a resumed run continue. A deployed run releases its machine while it waits.
    if deployment.get_id() is not None:
        suspend_flow_run(timeout=PAUSE_SECONDS, key="size")
    else:
        pause_flow_run(timeout=PAUSE_SECONDS, poll_interval=PAUSE_POLL_SECONDS, key="size")
