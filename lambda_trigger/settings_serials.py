"""Reads the serial numbers of settings XMLs, when several of them could serve."""

from dataclasses import dataclass, field

from lambda_trigger.clients.aws_answers import ObjectHead
from lambda_trigger.clients.aws_api import AwsApi
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.decisions.sidecars import ListedObject, choose_by_instrument
from sonar_models import SETTINGS_HEAD_BYTES, serial_in_bytes, serial_in_settings

# In a folder with more XMLs the serial numbers are not compared: it would take too many requests.
COMPARED_MOST = 20


@dataclass
class SettingsSerials:
    """Serial numbers of the XMLs that one invocation has read: (bucket, key, ETag) -> number."""

    known: dict[tuple[str, str, str], int | None] = field(default_factory=dict)

    def choose(
        self,
        storage: AwsApi,
        bucket: str,
        xmls: list[ListedObject],
        data: ObjectHead,
        deadline: Deadline,
    ) -> ListedObject | None:
        """Choose the XML of a data file among several, None if that is ambiguous.

        Raises:
            TransportError: S3 did not answer.
        """
        serial = serial_in_bytes(data.head)
        serials: dict[str, int | None] = {}
        if serial is not None and len(xmls) <= COMPARED_MOST:
            for xml in xmls:
                name = bucket, xml.key, xml.etag
                if name not in self.known:
                    found = storage.read_head(
                        bucket,
                        xml.key,
                        etag=xml.etag,
                        count=SETTINGS_HEAD_BYTES,
                        deadline=deadline,
                    )
                    # An XML that is gone or archived decides nothing.
                    head = found.head if isinstance(found, ObjectHead) else b""
                    self.known[name] = serial_in_settings(head)
                serials[xml.key] = self.known[name]
        return choose_by_instrument(xmls, serial, serials, data.last_modified)
