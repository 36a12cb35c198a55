"""The Prefect flow that makes products of outputs that exist already, for `echodrop draw`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prefect import flow
from prefect.states import Completed

from flows.products.jobs.product_jobs import ProductJob
from flows.runs.run_products import make_and_show


@flow(name="make-products", persist_result=False)
def make_products(
    outputs: list[str],
    *,
    force: bool = False,
    output_storage_options: dict[str, Any] = {},  # noqa: B006 - as in convert_raw_sonar, never changed
) -> list[dict[str, str]]:
    """Make the pictures, thumbnails and viewer stores of published outputs, one after another.

    Products that are current stay. The run ends Completed; its state's name is PartlyMade
    if some could not be made, and the record beside each output says why.

    Args:
        outputs: URIs or paths of the outputs.
        force: make current products again.
        output_storage_options: storage options of the outputs in s3fs's form.

    Returns:
        For each output: output, state (made, current, incomplete, failed), error.
    """
    jobs = [ProductJob(output, output_storage_options, force) for output in outputs]
    results = make_and_show(jobs)
    counts = Counter(result.state for result in results)
    message = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    failed = [result for result in results if result.state == "failed"]
    if failed:
        message += f"; first failure: {failed[0].output}: {failed[0].error}"
    # Prefect unpacks the data of a returned state.
    return Completed(  # type: ignore[return-value]
        name="PartlyMade" if failed else "Completed",
        message=message,
        data=[
            {"output": each.output, "state": each.state, "error": each.error} for each in results
        ],
    )
