from __future__ import annotations

from typing import Any

import pytest

from flows.core.outcomes import OutputConflict
from flows.core.source_version import SourceVersion
from flows.publishing.publish_decision import Content, Decision, PublishedManifest, decide


def content(etag: str | None = "v1", uri: str = "s3://in/f.raw", **sidecars: str) -> Content:
    return Content(uri, SourceVersion(etag), sidecars)


def published(of: Content, *, owner: str = "other", etag: str = "m1") -> PublishedManifest:
    return PublishedManifest(
        {
            "source": {
                "uri": of.source,
                "etag": of.version.etag,
                "version_id": of.version.version_id,
            },
            "sidecars": [{"uri": uri, "etag": tag} for uri, tag in of.sidecars.items()],
            "run": {"owner": owner},
        },
        etag,
    )


@pytest.mark.parametrize(
    ("now", "changes", "expected"),
    [
        pytest.param(None, {}, "publish", id="no output"),
        pytest.param(published(content()), {}, "skip", id="already published"),
        pytest.param(published(content()), {"overwrite": True}, "publish", id="requested again"),
        pytest.param(
            published(content(), owner="me"), {"overwrite": True}, "skip", id="by this run"
        ),
        pytest.param(
            published(content(), etag="m2"),
            {"overwrite": True},
            "skip",
            id="by a concurrent run",
        ),
        pytest.param(
            published(content(bot="b1"), etag="m2"),
            {"overwrite": True},
            "skip",
            id="by a concurrent run with one more sidecar",
        ),
        pytest.param(
            published(content(), etag="m2"),
            {"overwrite": True, "wanted": content(bot="b1")},
            "publish",
            id="by a concurrent run without our sidecar",
        ),
        pytest.param(
            published(content("v0"), etag="m2"),
            {"overwrite": True},
            "publish",
            id="another version in the meantime",
        ),
        pytest.param(
            published(content(None)),
            {"overwrite": True, "wanted": content(None), "at_start": "m0"},
            "publish",
            id="unknown versions are never the same",
        ),
    ],
)
def test_what_is_there_decides(
    now: PublishedManifest | None, changes: dict[str, Any], expected: Decision
) -> None:
    facts: dict[str, Any] = {"wanted": content(), "overwrite": False, "at_start": "m1", **changes}
    assert decide("out", facts.pop("wanted"), owner="me", now=now, **facts) == expected


@pytest.mark.parametrize(
    "other",
    [content("v2"), content(uri="s3://in/g.raw"), content(None)],
    ids=["version", "source", "unknown version"],
)
def test_other_content_is_not_replaced_without_overwrite(other: Content) -> None:
    with pytest.raises(OutputConflict, match="overwrite is off"):
        decide("out", content(), overwrite=False, owner="me", at_start=None, now=published(other))


def test_version_ids_decide_where_there_are_two() -> None:
    first = SourceVersion("same bytes", "id1")
    assert SourceVersion("same bytes", "id2").differs_from(first)
    assert not SourceVersion("other", "id1").differs_from(first)
    assert SourceVersion("x").differs_from(SourceVersion("y"))
    assert not SourceVersion("x").differs_from(SourceVersion())


def test_an_upload_never_replaces_the_output_of_another_source() -> None:
    ours = Content("s3://in/f.raw", SourceVersion("v1"), {}, notified=True)
    theirs = published(content("v1", "s3://in/f.RAW"))
    with pytest.raises(OutputConflict, match=r"f\.RAW.*f\.raw.*rename one of the two"):
        decide("out", ours, overwrite=True, owner="me", at_start="m1", now=theirs)
    # A person may replace it by hand.
    by_hand = content("v1", "s3://in/f.raw")
    assert (
        decide("out", by_hand, overwrite=True, owner="me", at_start="m1", now=theirs) == "publish"
    )


def test_an_upload_replaces_its_own_earlier_version() -> None:
    ours = Content("s3://in/f.raw", SourceVersion("v2"), {}, notified=True)
    earlier = published(content("v1"))
    assert decide("out", ours, overwrite=True, owner="me", at_start="m1", now=earlier) == "publish"
