"""Shows the pictures of a run in the Prefect UI."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from flows.core.locations import THUMBNAIL_SUFFIX, S3Location, parse_location
from flows.products.jobs.product_jobs import JobResult, ProductJob
from flows.products.product_files import product_files
from flows.stores.s3_client import s3_client

# Bytes of thumbnails in one artifact: it is stored in Prefect's database, and loaded with the page.
INLINED_BYTES = 400_000
# Seconds; on AWS the link ends earlier, with the credentials of the task.
_LINK_SECONDS = 7 * 24 * 3600


def show_pictures(made: Sequence[tuple[ProductJob, JobResult]]) -> None:
    """Show each picture as its thumbnail with a link; an error of the server does not fail the run."""
    if not made:
        return
    try:
        create_markdown_artifact(
            pictures_page(made), key="picture", description="What the outputs look like"
        )
    # BLE001: the pictures lie beside the outputs, even if the UI cannot show them.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("artifact not created: %s", error)


def pictures_page(made: Sequence[tuple[ProductJob, JobResult]]) -> str:
    """The page as Markdown, with thumbnails as data URIs as far as they fit."""
    left = INLINED_BYTES
    parts = []
    for job, result in made:
        products = result.record["products"]
        name = job.output.rpartition("/")[2]
        lines = [f"### {name}"]
        if (thumbnail := _thumbnail(job, products, left)) is not None:
            left -= len(thumbnail)
            lines.append(f"![{name}](data:image/png;base64,{base64.b64encode(thumbnail).decode()})")
        if _is_made(products, "echogram"):
            picture = _beside(job.output, products["echogram"])
            lines.append(f"[{picture.rpartition('/')[2]}]({link_to(picture, job.storage_options)})")
        if _is_made(products, "viewer"):
            viewer = _beside(job.output, products["viewer"])
            lines.append(f"To zoom into it: `echodrop gallery`, or open `{viewer}`")
        lines += [f"- {note}" for note in (result.record.get("picture") or {}).get("notes", [])]
        if result.error:
            lines.append(f"Not made: {result.error}. `echodrop draw {job.output}` makes it again.")
        parts.append("\n\n".join(lines))
    return "\n\n".join(parts)


def link_to(uri: str, storage_options: Mapping[str, Any]) -> str:
    """An address that a browser can open: a presigned one of S3, or a file's.

    It needs no credentials, and works until it expires.
    """
    location = parse_location(uri)
    if not isinstance(location, S3Location):
        return f"file://{quote(location.uri)}"
    # The older signatures cannot be used for objects under a KMS key.
    settings = {**(storage_options.get("config_kwargs") or {}), "signature_version": "s3v4"}
    return s3_client({**storage_options, "config_kwargs": settings}).generate_presigned_url(
        "get_object",
        Params={"Bucket": location.bucket, "Key": location.key},
        ExpiresIn=_LINK_SECONDS,
    )


def _thumbnail(job: ProductJob, products: Mapping[str, Any], room: int) -> bytes | None:
    if not _is_made(products, "thumbnail") or products["thumbnail"]["bytes"] > room:
        return None
    return product_files(job.output, job.storage_options).read(THUMBNAIL_SUFFIX)


def _is_made(products: Mapping[str, Any], name: str) -> bool:
    return bool(products.get(name, {}).get("state") == "made")


def _beside(output: str, product: Mapping[str, Any]) -> str:
    folder, slash, _ = output.rpartition("/")
    return f"{folder}{slash}{product['path']}"
