"""Makes the products of what a run has published, and shows them; nothing here changes how the run ends."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from flows.core.locations import THUMBNAIL_SUFFIX, S3Location, parse_location
from flows.core.only_warned import only_warned
from flows.products.jobs.product_jobs import JobResult, ProductJob, products_are_on
from flows.products.product_files import product_files
from flows.stores.request import ConversionRequest
from flows.stores.s3_client import s3_client

# Bytes of thumbnails in one artifact: it is stored in Prefect's database, and loaded with the page.
INLINED_BYTES = 400_000
# Seconds; on AWS the link ends earlier, with the credentials of the task.
_LINK_SECONDS = 7 * 24 * 3600


def show_pictures(made: Sequence[tuple[ProductJob, JobResult]]) -> None:
    """Show each picture as its thumbnail with a link; an error of the server does not fail the run."""
    if not made:
        return
    with only_warned(get_run_logger, "artifact not created"):
        create_markdown_artifact(
            pictures_page(made), key="picture", description="What the outputs look like"
        )


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


NAMESPACE = "echodrop"
SERVICE = "products"
METRIC = "ProductsFailed"

STACK = "ECHODROP_STACK"
# How long a conversion may stay for its products: its outcome is known only after them.
TOTAL = timedelta(hours=1)


def make_products_of(completed: Iterable[ConversionRequest]) -> None:
    """Make the products of these conversions' outputs within an hour, if the stack wants products.

    Those of an output that was already published are made if they are missing or stale.
    """
    if not products_are_on(os.environ):
        return
    jobs = [ProductJob(request.output.uri, request.output_storage_options) for request in completed]
    # The outputs are published and verified.
    with only_warned(get_run_logger, "products not made"):
        results = make_and_show(jobs, total=TOTAL)
        if left := [job.output for job in jobs[len(results) :]]:
            get_run_logger().warning(
                "products of %s outputs not made within %s, the first is %s; "
                "`echodrop draw` makes them",
                *(len(left), TOTAL, left[0]),
            )


def make_and_show(jobs: Sequence[ProductJob], *, total: timedelta | None = None) -> list[JobResult]:
    """Make the products in a child process, log and count failures, and show the pictures.

    After `total` the remaining outputs have no result.
    """
    from flows.products.jobs.in_child import make_in_child  # noqa: PLC0415 - most runs fail or finish without it

    logger = get_run_logger()
    results: list[JobResult] = []
    # Closed here, so that a run that is stopped ends the child at once.
    with closing(make_in_child(jobs, total=total)) as made:
        for result in made:
            results.append(result)
            if result.state == "failed":
                logger.warning(
                    "%s: products not made: %s; the output is not affected, and "
                    "`echodrop draw %s` makes them again",
                    *(result.output, result.error, result.output),
                )
            else:
                logger.info("%s: products %s", result.output, result.state)
    _count(sum(result.state == "failed" for result in results))
    show_pictures(
        [
            (job, result)
            for job, result in zip(jobs, results, strict=False)
            if result.state in {"made", "failed"} and result.record
        ]
    )
    return results


def _count(failed: int) -> None:
    """Write the metric of failures to the task's log, from which CloudWatch extracts it."""
    stack = os.environ.get(STACK)
    if failed and stack:
        sys.stdout.write(metric_line(stack, failed, time.time_ns() // 1_000_000) + "\n")
        sys.stdout.flush()


def metric_line(stack: str, failed: int, now_ms: int) -> str:
    """The metric of products that were not made, as a log line from which CloudWatch extracts it.

    A request to CloudWatch would need a right and take time. Source: "Specification: Embedded
    metric format", CloudWatch user guide. All stacks of an account share the namespace. `now_ms`
    is milliseconds since the epoch.
    """
    owner = {"stack": stack, "service": SERVICE}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(owner)],
        "Metrics": [{"Name": METRIC, "Unit": "Count"}],
    }
    line = {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [directive]}}
    return json.dumps({**line, **owner, METRIC: failed})
