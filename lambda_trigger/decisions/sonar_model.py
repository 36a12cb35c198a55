"""Which sonar wrote a file: metadata, tag or path declare it, the first bytes must agree.

Pure. How each format starts:
- Simrad (EK80 interface specification, ER60 reference manual): an int32 length, a
  datagram type of four letters, eight bytes of NT time, the body. CON0 opens
  with three texts of 128 bytes, survey, transect and sounder name; XML0 with
  an XML configuration whose header names the application.
- AZFP (ASL operator's manual): every ping starts with FD 02.
- AZFP6 (echopype's reader): the little-endian file type F044CC11.
- AD2CP (Nortek integrator's guide): records start with A5, their header's
  size (10, or 12 for long records) and a data series id.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lambda_trigger.decisions.outcomes import Reason, Rejected

HEAD_BYTES = 1024

# Models of one family share a format. The bytes cannot always distinguish them, so
# a declaration may choose a model within the family but not another family.
FAMILIES: dict[str, frozenset[str]] = {
    "EK60": frozenset({"EK60", "ES70"}),
    "EK80": frozenset({"EK80", "ES80", "EA640"}),
    "AZFP": frozenset({"AZFP"}),
    "AZFP6": frozenset({"AZFP6"}),
    "AD2CP": frozenset({"AD2CP"}),
}
MODELS: frozenset[str] = frozenset().union(*FAMILIES.values())
DECLARING_NAMES = ("sonar-model", "sonar_model")
_APPLICATION = re.compile(rb'ApplicationName="(ES80|EA640|EK80)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declared model. `source` is one of metadata, tag, path."""

    model: str
    source: str


@dataclass(frozen=True, slots=True)
class SonarModel:
    """The model to convert with. `source` is one of metadata, tag, path, bytes."""

    model: str
    source: str


def declared_model(
    key: str, metadata: Mapping[str, str], tags: Mapping[str, str]
) -> Declaration | Rejected | None:
    """Find the declared model: metadata come first, then tags, then the path.

    Args:
        key: the object's key; the folder nearest to the file wins.
        metadata: the object's user metadata, names in lower case without `x-amz-meta-`.
        tags: the object's tags.
    """
    for source, holder in (("metadata", metadata), ("tag", tags)):
        for name, value in holder.items():
            if name.lower() in DECLARING_NAMES:
                model = value.strip().upper()
                if model not in MODELS:
                    known = ", ".join(sorted(MODELS))
                    return Rejected(
                        Reason.UNKNOWN_MODEL, f"{source} {name} is {value!r}; known are {known}"
                    )
                return Declaration(model, source)
    for folder in reversed(key.split("/")[:-1]):
        if folder.upper() in MODELS:
            return Declaration(folder.upper(), "path")
    return None


def model_in_bytes(head: bytes) -> str | None:
    """Return the model that wrote a file with these first bytes; None if it is unknown."""
    if head[4:8] == b"CON0":
        sounder_name = head[272:400].split(b"\0")[0]
        return "ES70" if sounder_name.upper().startswith(b"ES70") else "EK60"
    if head[4:8] == b"XML0":
        application = _APPLICATION.search(head)
        return application[1].decode().upper() if application else "EK80"
    if head[:2] == b"\xfd\x02":
        return "AZFP"
    if head[:4] == (0xF044CC11).to_bytes(4, "little"):
        return "AZFP6"
    if head[:1] == b"\xa5" and head[1:2] in {b"\x0a", b"\x0c"}:
        return "AD2CP"
    return None


def family_of(model: str) -> str:
    """Return the format family of a model."""
    return next(family for family, models in FAMILIES.items() if model in models)


def decide_model(
    declared: Declaration | None, by_extension: frozenset[str], head: bytes
) -> SonarModel | Rejected:
    """Decide the model from declaration, extension and bytes; a contradiction names both."""
    in_bytes = model_in_bytes(head)
    if in_bytes is None:
        start = f"declared {declared.model} by {declared.source}, but " if declared else ""
        return Rejected(
            Reason.UNKNOWN_CONTENT,
            f"{start}the file starts with {head[:8].hex(' ')}, which no known sonar writes",
        )
    family = FAMILIES[family_of(in_bytes)]
    if declared and declared.model not in family:
        return Rejected(
            Reason.CONTRADICTION,
            f"declared {declared.model} by {declared.source}, but its bytes are {_format(in_bytes)}",
        )
    model = (
        SonarModel(declared.model, declared.source) if declared else SonarModel(in_bytes, "bytes")
    )
    if model.model not in by_extension:
        return Rejected(
            Reason.CONTRADICTION,
            f"the extension is that of {', '.join(sorted(by_extension))}, "
            f"but its bytes are {_format(in_bytes)}",
        )
    return model


def _format(model: str) -> str:
    family = family_of(model)
    return model if model == family else f"{model} ({family}'s format)"
