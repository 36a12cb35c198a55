from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_trigger.decisions.outcomes import Reason, Rejected
from lambda_trigger.decisions.sonar_model import (
    ChosenModel,
    decide_model,
    declared_model,
)
from sonar_models import HEAD_BYTES, SONAR_MODELS, model_in_bytes, models_by_extension
from tests.file_heads import file_head

EXTENSIONS = {"AZFP": "01A", "AZFP6": "azfp", "AD2CP": "ad2cp"}


def by_extension(model: str) -> frozenset[str]:
    return models_by_extension(f"x.{EXTENSIONS.get(model, 'raw')}")


@pytest.mark.parametrize("model", sorted(SONAR_MODELS))
def test_every_model_is_recognized_by_its_bytes(model: str) -> None:
    assert model_in_bytes(file_head(model)[:HEAD_BYTES]) == SONAR_MODELS[model]
    assert decide_model(None, by_extension(model), file_head(model)) == ChosenModel(model, "bytes")


def test_real_files_are_recognized_by_their_bytes(
    real_data: Path, expected: dict[str, dict[str, Any]]
) -> None:
    models = {
        path.name: found.name
        for path in real_data.glob("*/*")
        if models_by_extension(path.name)
        and (found := model_in_bytes(path.read_bytes()[:HEAD_BYTES]))
    }
    assert models["D20070724-T042400.raw"] == "EK60"
    assert models["15100520-Test.01A"] == models["15100520-Test-Corrupt.01A"] == "AZFP"
    assert models["SG198_0099_a.ad2cp"] == "AD2CP"
    assert {models[name] for name in models if name.startswith(("-15", "29", "EK80"))} == {"EK80"}
    assert models["20090314_01A.azfp"] == "AZFP6"
    assert len(models) == 9


@pytest.mark.parametrize(
    ("key", "metadata", "tags", "declared"),
    [
        ("x/a.raw", {}, {}, None),
        ("x/EK60/a.raw", {}, {}, ChosenModel("EK60", "path")),
        ("ek80/2019/a.raw", {}, {}, ChosenModel("EK80", "path")),
        ("EK60/EK80/a.raw", {}, {}, ChosenModel("EK80", "path")),
        ("EK60.raw", {}, {}, None),
        ("EK60-EK80/a.raw", {}, {}, None),
        ("x/a.raw", {"sonar-model": "es70"}, {}, ChosenModel("ES70", "metadata")),
        ("x/a.raw", {"sonar_model": " EK80 "}, {}, ChosenModel("EK80", "metadata")),
        ("x/a.raw", {}, {"Sonar-Model": "EA640"}, ChosenModel("EA640", "tag")),
        (
            "EK80/a.raw",
            {"sonar-model": "EK60"},
            {"sonar-model": "ES70"},
            ChosenModel("EK60", "metadata"),
        ),
        ("EK80/a.raw", {"owner": "me"}, {"sonar-model": "ES70"}, ChosenModel("ES70", "tag")),
    ],
)
def test_metadata_has_priority_over_tag_and_path(
    key: str, metadata: dict[str, str], tags: dict[str, str], declared: ChosenModel | None
) -> None:
    assert declared_model(key, metadata, tags) == declared


def test_an_unknown_declared_model_is_rejected_with_the_known_ones() -> None:
    rejected = declared_model("a.raw", {"sonar-model": "EK500"}, {})
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.UNKNOWN_MODEL
    assert "'EK500'" in rejected.detail
    assert "EK60" in rejected.detail


@pytest.mark.parametrize(
    ("declared", "in_bytes"),
    [("ES70", "EK60"), ("EK60", "ES70"), ("EK80", "ES80"), ("EA640", "EK80")],
)
def test_a_declaration_chooses_within_a_format(declared: str, in_bytes: str) -> None:
    decided = decide_model(
        ChosenModel(declared, "path"), by_extension(declared), file_head(in_bytes)
    )
    assert decided == ChosenModel(declared, "path")


@pytest.mark.parametrize(
    ("declared", "in_bytes"), [("EK80", "EK60"), ("EK60", "EA640"), ("EK60", "AZFP")]
)
def test_a_contradiction_names_both_sides(declared: str, in_bytes: str) -> None:
    rejected = decide_model(
        ChosenModel(declared, "metadata"), by_extension(declared), file_head(in_bytes)
    )
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.CONTRADICTION
    assert f"declared {declared} by metadata" in rejected.detail
    assert in_bytes in rejected.detail


@pytest.mark.parametrize(
    ("extension", "in_bytes"), [("raw", "AD2CP"), ("azfp", "AZFP"), ("01A", "AZFP6")]
)
def test_an_extension_that_the_model_never_writes_is_a_contradiction(
    extension: str, in_bytes: str
) -> None:
    rejected = decide_model(None, models_by_extension(f"x.{extension}"), file_head(in_bytes))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.CONTRADICTION
    assert in_bytes in rejected.detail


@pytest.mark.parametrize("head", [b"", b"\0" * 512, b"PK\x03\x04", b"CON0", b"\xa5\x33"])
def test_bytes_of_an_unknown_sonar_are_rejected(head: bytes) -> None:
    rejected = decide_model(ChosenModel("EK60", "path"), by_extension("EK60"), head)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.UNKNOWN_CONTENT
    assert "EK60" in rejected.detail


@given(st.binary(max_size=HEAD_BYTES), st.sampled_from([None, *sorted(SONAR_MODELS)]))
def test_any_bytes_give_a_model_of_the_extension_or_a_rejection(
    head: bytes, declared: str | None
) -> None:
    declaration = ChosenModel(declared, "path") if declared else None
    decided = decide_model(declaration, by_extension("EK60"), head)
    assert isinstance(decided, Rejected) or decided.model in by_extension("EK60")
