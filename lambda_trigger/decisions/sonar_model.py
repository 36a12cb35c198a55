"""Which sonar wrote a file: metadata, tag or path declare it, the first bytes must agree. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from lambda_trigger.decisions.outcomes import Reason, Rejected
from sonar_models import SONAR_MODELS, SonarModel, model_in_bytes, models_of

DECLARING_NAMES = ("sonar-model", "sonar_model")


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A declared model, or the one to convert with. `source` is one of metadata, tag, path, bytes."""

    model: str
    source: str


def declared_model(
    key: str, metadata: Mapping[str, str], tags: Mapping[str, str]
) -> ChosenModel | Rejected | None:
    """Find the declared model: metadata come first, then tags, then the path.

    The folder nearest to the file wins. Names of `metadata` are in lower case, without
    `x-amz-meta-`.
    """
    for source, holder in (("metadata", metadata), ("tag", tags)):
        for name, value in holder.items():
            if name.lower() in DECLARING_NAMES:
                model = value.strip().upper()
                if model not in SONAR_MODELS:
                    known = ", ".join(sorted(SONAR_MODELS))
                    return Rejected(
                        Reason.UNKNOWN_MODEL, f"{source} {name} is {value!r}; known are {known}"
                    )
                return ChosenModel(model, source)
    for folder in reversed(key.split("/")[:-1]):
        if folder.upper() in SONAR_MODELS:
            return ChosenModel(folder.upper(), "path")
    return None


def decide_model(
    declared: ChosenModel | None, by_extension: frozenset[str], head: bytes
) -> ChosenModel | Rejected:
    """Decide the model from declaration, extension and bytes; a contradiction names both."""
    in_bytes = model_in_bytes(head)
    if in_bytes is None:
        start = f"declared {declared.model} by {declared.source}, but " if declared else ""
        return Rejected(
            Reason.UNKNOWN_CONTENT,
            f"{start}the file starts with {head[:8].hex(' ')}, which no known sonar writes",
        )
    if declared and declared.model not in models_of(in_bytes.format):
        return Rejected(
            Reason.CONTRADICTION,
            f"declared {declared.model} by {declared.source}, but its bytes are {_format(in_bytes)}",
        )
    model = declared or ChosenModel(in_bytes.name, "bytes")
    if model.model not in by_extension:
        return Rejected(
            Reason.CONTRADICTION,
            f"the extension is that of {', '.join(sorted(by_extension))}, "
            f"but its bytes are {_format(in_bytes)}",
        )
    return model


def _format(model: SonarModel) -> str:
    first = model.format.name
    return model.name if model.name == first else f"{model.name} ({first}'s format)"
