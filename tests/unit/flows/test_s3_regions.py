"""A bucket in another region is read there: the SDK still follows S3's redirect with our client."""

import pytest

from flows.stores.s3_client import s3_client
from tests.unit.trigger.conftest import HttpStub, http_stub

__all__ = ["http_stub"]


@pytest.mark.parametrize(
    ("status", "code"), [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed")]
)
def test_a_bucket_in_another_region_is_read_there(
    http_stub: HttpStub, status: int, code: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message><Region>us-west-2</Region></Error>"
    http_stub.answer(status, body.encode(), **{"x-amz-bucket-region": "us-west-2"})
    http_stub.answer(200, b"CON0", ETag='"e"')
    options = {"key": "AKID", "secret": "secret", "endpoint_url": http_stub.origin}
    client = s3_client({**options, "client_kwargs": {"region_name": "eu-west-1"}})
    assert client.get_object(Bucket="archive", Key="a.raw")["Body"].read() == b"CON0"
    signed = [str(authorization).split("/")[2] for _, _, authorization, _ in http_stub.asked]
    assert signed == ["eu-west-1", "us-west-2"]
