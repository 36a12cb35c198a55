"""The commands for files and this machine, without a server: convert, check, doctor."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from sonar_models import SONAR_MODELS

# ruff: noqa: PLC0415 - `--help` should not wait for slow imports


def _known(model: str | None) -> str | None:
    if model and model.upper() not in SONAR_MODELS:
        raise typer.BadParameter(f"{model} is none of {', '.join(SONAR_MODELS)}")
    return model


Model = Annotated[
    str | None,
    typer.Option(
        help="Sonar model. Default: detected from the file's first bytes.",
        callback=_known,
        autocompletion=lambda: list(SONAR_MODELS),
    ),
]
Anonymous = Annotated[
    bool, typer.Option("--anon", help="Read a public bucket without credentials.")
]


def _options(*, anonymous: bool) -> dict[str, Any]:
    return {"anon": True} if anonymous else {}


def convert(
    raw: Annotated[
        list[str],
        typer.Argument(help="Paths, folders, s3://bucket/key, s3://bucket/prefix/, http(s) URLs."),
    ],
    out: Annotated[str, typer.Argument(help="A folder, or a path that ends in .zarr or .nc.")],
    *,
    model: Model = None,
    xml: Annotated[str | None, typer.Option(help="The settings XML of AZFP files.")] = None,
    output_type: Annotated[
        Literal["zarr", "netcdf"] | None,
        typer.Option(
            "--type", case_sensitive=False, help="Default: from the ending of OUT, otherwise zarr."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
    anonymous: Anonymous = False,
    partial: Annotated[
        bool, typer.Option("--allow-partial", help="Convert the intact part of a damaged file.")
    ] = False,
    platform: Annotated[str | None, typer.Option(help="Name of the ship or platform.")] = None,
    survey: Annotated[str | None, typer.Option(help="Name of the survey.")] = None,
    water_level: Annotated[
        float | None,
        typer.Option(help="Distance of the water level from the platform's origin, in m."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Files at the same time. Default: by processors and memory; single S3 objects and URLs one by one.",
            min=1,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done.")
    ] = False,
    verify: Annotated[
        Literal["sampled", "full"],
        typer.Option(case_sensitive=False, help="How much of the output to verify."),
    ] = "sampled",
    zarr_format: Annotated[int, typer.Option(help="Zarr format, 2 or 3.", min=2, max=3)] = 3,
    corrections: Annotated[
        bool,
        typer.Option(help="Take the file's values where echopype changes or drops them, or not."),
    ] = True,
    compact: Annotated[
        bool, typer.Option(help="Compress losslessly, or write as echopype does.")
    ] = True,
) -> None:
    """Convert raw files and verify the outputs, without a server.

    A folder stands for the raw files below it. What is published already is skipped, so the same
    command continues after an interruption.

    Exit code 0: every output is published, wholly or in part, or already existed; 1: a file
    cannot be converted; 2: invalid arguments; 3: a temporary error, retry.
    """
    from echodrop.terminal import convert_at_terminal

    fields = {
        "model": model,
        "output_type": output_type,
        "xml_path": xml,
        "convert_params": {
            "platform_name": platform,
            "survey_name": survey,
            "water_level": water_level,
        },
        "input_storage_options": _options(anonymous=anonymous),
        "overwrite": overwrite,
        "allow_partial": partial,
        "verify": verify,
        "zarr_format": zarr_format,
        "corrections": corrections,
        "compact": compact,
    }
    raise typer.Exit(convert_at_terminal(raw, out, fields, at_once=jobs, dry_run=dry_run))


def check(
    file: Annotated[str, typer.Argument(help="A path, s3://bucket/key or http(s) URL.")],
    *,
    model: Model = None,
    anonymous: Anonymous = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a raw file's datagrams: whether it is intact, its pings and its lost bytes.

    Exit code 0: `convert` would take it; 1: it is damaged; 2: it cannot be read.
    """
    from echodrop.terminal import check_at_terminal

    options = _options(anonymous=anonymous)
    raise typer.Exit(check_at_terminal(file, model, options, as_json=as_json))


def doctor(
    *,
    out: Annotated[
        str, typer.Option(help="Folder or s3:// prefix that outputs go to, to test it.")
    ] = ".",
    stack: Annotated[
        str | None, typer.Option(help="Also check this deployed stack, as deploy --check does.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="AWS region of the stack.")] = None,
) -> None:
    """Check this machine: packages, disk, credentials, S3, Prefect; and what to do.

    Exit code 0: everything that a conversion needs is there; 1: something is missing.
    """
    from echodrop.doctor import doctor_at_terminal

    raise typer.Exit(doctor_at_terminal(out, stack=stack, region=region))
