"""The parameters of the stack: from the command line, from sam's file, or from the stack."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.code_version import ROOT
from sandbox.stack.intrinsics import Resolver, TemplateError, checked_parameters
from sandbox.stack.template import read_template

DIGESTS = {"TaskImageDigest": "task_digest", "WorkerImageDigest": "worker_digest"}
_SOME_DIGEST = "sha256:" + "0" * 64


def given_parameters(words: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE words as a mapping.

    Raises:
        TemplateError: a word is not NAME=VALUE, or names a digest.
    """
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise TemplateError(word, "is not NAME=VALUE")
        if name in DIGESTS:
            raise TemplateError(
                name,
                "can't be given: it is the digest of the image that this command builds or finds",
            )
        given[name] = value
    return given


def kept_parameters(path: Path = ROOT / "samconfig.toml") -> dict[str, str]:
    """Return the answers that `sam deploy --guided` stored, without the digests.

    Raises:
        TemplateError: they are not NAME=VALUE.
    """
    config = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    kept = config.get("default", {}).get("deploy", {}).get("parameters", {})
    overrides = kept.get("parameter_overrides", [])
    words = shlex.split(overrides) if isinstance(overrides, str) else overrides
    return given_parameters([word for word in words if word.partition("=")[0] not in DIGESTS])


def problems_of(values: Mapping[str, str], stack: str) -> list[str]:
    """List the violations of the template's rules by these parameters, before anything is built.

    `values` are without the digests; the stack's name is part of its buckets' names.
    """
    source = read_template()
    digests = dict.fromkeys(DIGESTS, _SOME_DIGEST)
    missing = [
        f"{name} is not given: {declared['Description']}"
        for name, declared in source["Parameters"].items()
        if "Default" not in declared and name not in {*values, *digests}
    ]
    if missing:
        return missing
    try:
        checked = checked_parameters(source, {**values, **digests})
    except TemplateError as error:
        return [f"parameter {error}"]
    return [f"{stack}: {rule}" for rule in Resolver(source, checked).broken_rules()]


def merged(stack: Mapping[str, str], *given: Mapping[str, str]) -> dict[str, str]:
    """Merge values: later ones override; values of the stack whose parameter is gone are dropped."""
    declared = read_template()["Parameters"]
    known = {name: value for name, value in stack.items() if name in declared}
    values = {name: value for each in (known, *given) for name, value in each.items()}
    return {name: value for name, value in values.items() if name not in DIGESTS}
