"""Quarantine: a faulty file is tagged in the inbox, and its report is written next to the output.

The tags are on the version that failed: a corrected upload is another version without
tags. A later success of the same version removes them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flows.core.locations import FAILURE_SUFFIX, Location, S3Location
from flows.core.only_warned import only_warned
from flows.core.source_version import SourceVersion
from flows.failures.failure_report import FailureReport, report_bytes
from flows.stores.object_store import ObjectStore
from flows.stores.request import ConversionRequest
from flows.stores.s3_client import store_of

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3.type_defs import TagTypeDef

OUTCOME_TAG, REASON_TAG = "echodrop-outcome", "echodrop-reason"

# "Object tagging", S3 user guide: ten tags, values of 256 characters, which may contain letters,
# digits and these.
_MOST_TAGS = 10
_VALUE_LENGTH = 256
_NOT_IN_A_VALUE = re.compile(r"[^A-Za-z0-9 +\-=._:/@]+")

_log = logging.getLogger(__name__)


def hold(request: ConversionRequest, report: FailureReport) -> None:
    """Put an upload into quarantine; errors are logged, not raised.

    A version that was replaced in the meantime is tagged if it still exists, but gets
    no report, because the report describes the current version.
    """
    if not report.end.of_the_file or request.wanted is None:
        return
    source, output = request.source, request.output
    if not isinstance(source, S3Location) or not isinstance(output, S3Location):
        return
    with only_warned(_log, f"{output.uri}: failure report not written"):
        inbox = store_of(source, request.input_storage_options)
        if _is_current(inbox, source, request.wanted):
            store = store_of(output, request.output_storage_options)
            store.put(output.key + FAILURE_SUFFIX, report_bytes(report))
    reason = report.message.removeprefix(f"{report.source}: ")
    marks = {OUTCOME_TAG: report.outcome, REASON_TAG: tag_value(reason)}
    _mark(source, request.input_storage_options, request.wanted, marks)


def _is_current(inbox: ObjectStore, source: S3Location, version: SourceVersion) -> bool:
    now = inbox.head(source.key)
    return now is not None and not SourceVersion(now.etag, now.version_id).differs_from(version)


def release(source: Location, options: dict[str, Any], version: SourceVersion) -> None:
    """Remove the quarantine tags of this version, keep others; errors are logged, not raised."""
    if isinstance(source, S3Location):
        _mark(source, options, version, {})


def _mark(
    source: S3Location, options: dict[str, Any], version: SourceVersion, marks: Mapping[str, str]
) -> None:
    # The bucket may be read-only.
    with only_warned(_log, f"{source.uri}: quarantine tags not changed"):
        inbox = store_of(source, options)
        if version.version_id is None and not _is_current(inbox, source, version):
            # There is no version id, and the object has changed.
            return
        before = inbox.tags(source.key, version.version_id)
        after = retagged(before, marks)
        if after is None:
            _log.warning("%s: not tagged, it already has %s tags", source.uri, len(before))
        elif after != before:
            inbox.put_tags(source.key, version.version_id, after)


def retagged(before: Sequence[TagTypeDef], marks: Mapping[str, str]) -> list[TagTypeDef] | None:
    """The tags with these marks and without our old ones; None if S3 allows no more tags."""
    after = [tag for tag in before if tag["Key"] not in {OUTCOME_TAG, REASON_TAG}]
    after += [{"Key": name, "Value": text} for name, text in marks.items()]
    return after if len(after) <= _MOST_TAGS else None


def tag_value(text: str) -> str:
    """Text as a tag value: characters that S3 refuses become blanks, and long text is cut."""
    return " ".join(_NOT_IN_A_VALUE.sub(" ", text).split())[:_VALUE_LENGTH].strip()
