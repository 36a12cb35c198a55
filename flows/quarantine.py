"""A file that failed for its own fault is marked in the inbox, and its report lies beside the output.

The marks are on the very version that failed: a corrected upload is another
one and has none. A later success of the same version takes them away.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flows.failure_report import FAILURE_SUFFIX, FailureReport, report_bytes
from flows.locations import Location, S3Location
from flows.object_store import ObjectStore
from flows.request import ConversionRequest
from flows.s3_client import s3_client
from flows.source_version import SourceVersion

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3.type_defs import TagTypeDef

OUTCOME_TAG, REASON_TAG = "echodrop-outcome", "echodrop-reason"

# "Object tagging", S3 user guide: ten tags, values of 256 characters, and of
# what is no letter or digit these.
_MOST_TAGS = 10
_VALUE_LENGTH = 256
_NOT_IN_A_VALUE = re.compile(r"[^A-Za-z0-9 +\-=._:/@]+")

_log = logging.getLogger(__name__)


def hold(request: ConversionRequest, report: FailureReport) -> None:
    """Put a notified upload into quarantine; what can't be written is logged, nothing is raised.

    A version that was replaced meanwhile is marked where it still is a version;
    the report stands for the upload as it is now, and for that it says nothing.
    """
    if not report.of_the_file or request.wanted is None:
        return
    source, output = request.source, request.output
    if not isinstance(source, S3Location) or not isinstance(output, S3Location):
        return
    # BLE001: the run has failed for a better reason, which is told elsewhere too.
    try:
        if _is_current(source, request.input_storage_options, request.wanted):
            store = ObjectStore(s3_client(dict(request.output_storage_options)), output.bucket)
            store.put(output.key + FAILURE_SUFFIX, report_bytes(report))
    except Exception as error:  # noqa: BLE001
        _log.warning("%s: failure report not written: %s", output.uri, error)
    reason = report.message.removeprefix(f"{report.source}: ")
    marks = {OUTCOME_TAG: report.outcome, REASON_TAG: tag_value(reason)}
    _mark(source, request.input_storage_options, request.wanted, marks)


def _is_current(source: S3Location, options: Mapping[str, Any], version: SourceVersion) -> bool:
    now = ObjectStore(s3_client(dict(options)), source.bucket).head(source.key)
    if now is None:
        return False
    return not SourceVersion(now.etag, now.version_id).differs_from(version)


def release(source: Location, options: Mapping[str, Any], version: SourceVersion) -> None:
    """Take the marks off this version of an upload, other tags stay; nothing is raised."""
    if isinstance(source, S3Location):
        _mark(source, options, version, {})


def _mark(
    source: S3Location,
    options: Mapping[str, Any],
    version: SourceVersion,
    marks: Mapping[str, str],
) -> None:
    # BLE001: an archive that may be read only, say; the report is there all the same.
    try:
        store = ObjectStore(s3_client(dict(options)), source.bucket)
        if version.version_id is None and not _is_current(source, options, version):
            # No version to name, and it is another by now.
            return
        before = store.tags(source.key, version.version_id)
        after = retagged(before, marks)
        if after is None:
            _log.warning("%s: not marked, it has %s tags already", source.uri, len(before))
        elif after != before:
            store.put_tags(source.key, version.version_id, after)
    except Exception as error:  # noqa: BLE001
        _log.warning("%s: quarantine tags not changed: %s", source.uri, error)


def retagged(before: Sequence[TagTypeDef], marks: Mapping[str, str]) -> list[TagTypeDef] | None:
    """The tags with these marks and no others of ours; None where S3 takes no more tags."""
    after = [tag for tag in before if tag["Key"] not in {OUTCOME_TAG, REASON_TAG}]
    after += [{"Key": name, "Value": text} for name, text in marks.items()]
    return after if len(after) <= _MOST_TAGS else None


def tag_value(text: str) -> str:
    """Text as a tag's value may hold it: what S3 refuses becomes a blank, the end is cut off."""
    return " ".join(_NOT_IN_A_VALUE.sub(" ", text).split())[:_VALUE_LENGTH].strip()
