from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from events.notifications import NotifiedObject, in_sqs
from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import LANES, Upload
from tests.envelopes import ENVELOPES, in_sns, s3_event
from tests.storm import make_storm

# S3 accepts any UTF-8 of 1 to 1,024 bytes.
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


@given(
    key=KEYS,
    size=st.integers(0, 5 * 1024**4),
    version_id=st.none() | st.text("abcXYZ019._", min_size=1),
    generation=st.integers(0, 3),
    lane=st.sampled_from(LANES),
    envelope=st.sampled_from(sorted(ENVELOPES)),
    times_in_sqs=st.integers(0, 2),
    times_in_sns=st.integers(0, 2),
)
def test_every_legal_key_is_read_from_every_envelope(
    *,
    key: str,
    size: int,
    version_id: str | None,
    generation: int,
    lane: str,
    envelope: str,
    times_in_sqs: int,
    times_in_sns: int,
) -> None:
    item = NotifiedObject("inbox", key, size, "abc", version_id, generation=generation, lane=lane)
    body = ENVELOPES[envelope](item)
    for _ in range(times_in_sns):
        body = json.dumps(in_sns(body))
    for _ in range(times_in_sqs):
        body = json.dumps(in_sqs([body]))
    (upload,) = read_body(body)
    assert isinstance(upload, Upload)
    assert (upload.bucket, upload.key, upload.size) == ("inbox", key, size)
    assert (upload.etag, upload.version_id) == ("abc", version_id)
    assert (upload.generation, upload.lane) == (generation, lane)


@given(st.lists(KEYS, min_size=1, max_size=5))
def test_several_objects_in_one_event_keep_their_order(keys: list[str]) -> None:
    event = s3_event(NotifiedObject("inbox", key, 1, "abc") for key in keys)
    uploads = read_body(json.dumps(event))
    assert [upload.key for upload in uploads if isinstance(upload, Upload)] == keys


def test_a_storm_notifies_of_every_object_and_no_other() -> None:
    objects = [NotifiedObject("inbox", f"{number}.raw", 1, "abc") for number in range(650)]
    storm = make_storm(objects, seed=7)
    assert len(storm.bodies) == 1000
    assert storm.malformed == 50
    notices = [notice for body in storm.bodies for notice in read_body(body)]
    notified = [notice.key for notice in notices if isinstance(notice, Upload)]
    assert len(notified) == 950
    assert set(notified) == {item.key for item in objects}
    envelopes = {notice.envelope for notice in notices if isinstance(notice, Upload)}
    assert envelopes == {"s3", "eventbridge", "sns>s3", "sns>eventbridge"}


def test_the_same_seed_gives_the_same_storm() -> None:
    objects = [NotifiedObject("inbox", f"{number}.raw", 1, "abc") for number in range(20)]
    assert make_storm(objects, seed=1) == make_storm(objects, seed=1)
    assert make_storm(objects, seed=1) != make_storm(objects, seed=2)
