"""AZFP data and their settings XML: which XML belongs to which data file. Pure.

One XML serves a whole deployment folder, and its name differs from the data's
names. A data file uses the XML of the nearest folder, from its own folder up to
the prefix of its rule. `sidecar` in the data file's metadata or tags names the XML by
file name, key or URI. Of several XMLs in a folder, the one with the data's serial number
is used. If that does not decide, the one that was there first is used, if the others came
after the data had been submitted with it; otherwise the choice is ambiguous.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lambda_trigger.decisions.inbox_rules import SIDECAR, Candidate, judge_key
from lambda_trigger.decisions.outcomes import Reason, Rejected, Waiting
from lambda_trigger.decisions.rules_document import PrefixRule, Rules
from lambda_trigger.decisions.run_identity import uri
from sonar_models import SONAR_MODELS, fitting_settings

SIDECAR_NAME = "sidecar"
_NEED_XML = frozenset(model.name for model in SONAR_MODELS.values() if model.needs_xml)


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object of a listing. `size` is in bytes."""

    key: str
    size: int
    etag: str
    last_modified: str


def is_settings_xml(item: ListedObject) -> bool:
    """Return whether a listed object may be a settings XML."""
    return bool(SIDECAR.search(item.key)) and item.size > 0


def named_sidecar(*holders: Mapping[str, str]) -> str | None:
    """Return the sidecar that metadata or tags name."""
    for holder in holders:
        for name, text in holder.items():
            if name.lower() == SIDECAR_NAME and text.strip():
                return text.strip()
    return None


def folders_upward(key: str, rule: PrefixRule) -> list[str]:
    """List the folders from the file's own up to its rule's prefix, each ending in '/'."""
    top = rule.prefix[: rule.prefix.rfind("/") + 1]
    folder = key[: key.rfind("/") + 1]
    folders = [folder]
    while folder != top:
        folder = folder[: folder.rfind("/", 0, -1) + 1]
        folders.append(folder)
    return folders


def choose_sidecar(
    bucket: str,
    key: str,
    rule: PrefixRule,
    xmls_in: Callable[[str], list[ListedObject]],
    named: str | None,
    *,
    of_several: Callable[[list[ListedObject]], ListedObject | None] = lambda _: None,
) -> ListedObject | Waiting | Rejected:
    """Choose the settings XML of an AZFP data file.

    `xmls_in` returns the settings XMLs of a folder; `named` is the XML that the data's metadata
    name, if any; `of_several` chooses one of a folder's XMLs, or None if it cannot decide.
    """
    for folder in folders_upward(key, rule):
        found = xmls_in(folder)
        if named:
            found = [
                xml
                for xml in found
                if named in {xml.key, xml.key[len(folder) :], uri(bucket, xml.key)}
            ]
        if len(found) == 1:
            return found[0]
        if found and (chosen := of_several(found)):
            return chosen
        if found:
            names = ", ".join(xml.key for xml in found)
            return Rejected(
                Reason.AMBIGUOUS_SIDECAR,
                f"{len(found)} settings XMLs in {folder or 'the top folder'}: {names}; "
                "not exactly one has the file's serial number; "
                f"name one in the file's metadata, x-amz-meta-{SIDECAR_NAME}",
            )
    wanted = named or "settings XML"
    return Waiting(
        Reason.SIDECAR, f"{wanted} in {' or '.join(map(repr, folders_upward(key, rule)))}"
    )


def choose_by_instrument(
    xmls: list[ListedObject],
    serial: int | None,
    serials: Mapping[str, int | None],
    data_since: datetime | None,
) -> ListedObject | None:
    """Choose one of several settings XMLs, None if that is ambiguous.

    `serial` is the serial number in the data, None if unknown; `serials` are those of the XMLs by
    key; `data_since` is when the data were stored.
    """
    fitting = fitting_settings(serial, serials)
    candidates = [xml for xml in xmls if xml.key in fitting] or xmls
    return candidates[0] if len(candidates) == 1 else _first_there(candidates, data_since)


def _first_there(xmls: list[ListedObject], data_since: datetime | None) -> ListedObject | None:
    """The XML that was there alone when the data could be submitted, None if several were.

    XMLs that came later change nothing: the data have been submitted. This does not
    depend on the order and the delay of notifications.
    """
    times = [_seconds(xml.last_modified) for xml in xmls]
    known = [time for time in times if time is not None]
    if data_since is None or len(known) < len(times):
        return None
    submitted = max(data_since, min(known))
    there = [xml for xml, time in zip(xmls, known, strict=True) if time <= submitted]
    return there[0] if len(there) == 1 else None


def _seconds(written: str) -> datetime | None:
    """A time of a listing in full seconds, as S3 has the data's."""
    try:
        return datetime.fromisoformat(written).astimezone(UTC).replace(microsecond=0)
    except ValueError:
        return None


def data_below(
    bucket: str, xml_key: str, listing: Iterable[ListedObject], rules: Rules
) -> Iterator[ListedObject]:
    """Yield the AZFP data of a listing that look for their XML in this XML's folder.

    Data with a nearer XML are included, because their metadata may name this one.
    choose_sidecar decides for each.
    """
    folder = xml_key[: xml_key.rfind("/") + 1]
    for item in listing:
        verdict = judge_key(bucket, item.key, rules)
        if (
            isinstance(verdict, Candidate)
            and (verdict.models & _NEED_XML and item.size > 0)
            and folder in folders_upward(item.key, verdict.rule)
        ):
            yield item
