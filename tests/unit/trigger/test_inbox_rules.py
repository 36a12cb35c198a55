from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_trigger.decisions.inbox_rules import Candidate, SettingsXml, judge_key
from lambda_trigger.decisions.outcomes import Ignored, Reason, Rejected
from lambda_trigger.decisions.rules_document import parse_rules
from sonar_models import models_by_extension

RULES = parse_rules("""
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
[[prefix]]
prefix = "survey/"
deployment = "f/d"
output_type = "netcdf"
output_prefix = "done/"
[[prefix]]
prefix = ""
deployment = "f/d"
[[prefix]]
prefix = "notes/"
ignore = true
""")


@pytest.mark.parametrize(
    ("key", "outcome", "reason"),
    [
        ("a/../b.raw", Rejected, Reason.UNSAFE_NAME),
        ("./b.raw", Rejected, Reason.UNSAFE_NAME),
        ("a\nb.raw", Rejected, Reason.UNSAFE_NAME),
        ("a\x00.raw", Rejected, Reason.UNSAFE_NAME),
        ("a\x7f.raw", Rejected, Reason.UNSAFE_NAME),
        ("\u202ewar.raw", Rejected, Reason.UNSAFE_NAME),
        ("a\ud800.raw", Rejected, Reason.UNSAFE_NAME),
        ("a\u2028.raw", Rejected, Reason.UNSAFE_NAME),
        ("x" * 1021 + ".raw", Rejected, Reason.KEY_TOO_LONG),
        ("é" * 511 + ".raw", Rejected, Reason.KEY_TOO_LONG),
        ("x" * 821 + ".raw", Rejected, Reason.KEY_TOO_LONG),
        ("cruise/", Ignored, Reason.FOLDER),
        (".hidden.raw", Ignored, Reason.HIDDEN),
        ("cruise/._D2007.raw", Ignored, Reason.HIDDEN),
        (".snapshot/D2007.raw", Ignored, Reason.HIDDEN),
        ("__MACOSX/D2007.raw", Ignored, Reason.HIDDEN),
        ("a/Thumbs.db", Ignored, Reason.HIDDEN),
        ("a/~$log.raw", Ignored, Reason.HIDDEN),
        ("D2007.raw.part", Ignored, Reason.TEMPORARY),
        ("D2007.raw.filepart", Ignored, Reason.TEMPORARY),
        ("D2007.raw~", Ignored, Reason.TEMPORARY),
        ("D2007.TMP", Ignored, Reason.TEMPORARY),
        ("D2007.zarr/zarr.json", Ignored, Reason.OWN_OUTPUT),
        ("D2007.zarr/c/0.raw", Ignored, Reason.OWN_OUTPUT),
        ("D2007.nc", Ignored, Reason.OWN_OUTPUT),
        ("D2007.zarr.products.json", Ignored, Reason.OWN_OUTPUT),
        ("D2007.nc.echogram.png", Ignored, Reason.OWN_OUTPUT),
        ("D2007.zarr.echogram.zarr/zarr.json", Ignored, Reason.OWN_OUTPUT),
        # Its output would be the viewer store of D2007.raw's output.
        ("D2007.zarr.echogram.raw", Rejected, Reason.UNSAFE_NAME),
        ("D2007.nc.echogram.ad2cp", Rejected, Reason.UNSAFE_NAME),
        ("D2007.zarr.manifest.json", Ignored, Reason.OWN_OUTPUT),
        ("D2007.zarr.claim.json", Ignored, Reason.OWN_OUTPUT),
        ("D2007.nc.failure.json", Ignored, Reason.OWN_OUTPUT),
        ("D2007.bot", Ignored, Reason.COMPANION),
        ("D2007.IDX", Ignored, Reason.COMPANION),
        ("D2007.out", Ignored, Reason.COMPANION),
        ("lines/seabed.evl", Ignored, Reason.COMPANION),
        ("README.md", Ignored, Reason.DOCUMENT),
        ("notes/D2007.raw", Ignored, Reason.OUTSIDE_PREFIXES),
        ("D2007.raw.gz", Rejected, Reason.UNKNOWN_EXTENSION),
        ("D2007", Rejected, Reason.UNKNOWN_EXTENSION),
        ("D2007.001", Rejected, Reason.UNKNOWN_EXTENSION),
        ("raw", Rejected, Reason.UNKNOWN_EXTENSION),
    ],
)
def test_names_that_are_not_echosounder_files(
    key: str, outcome: type[Ignored | Rejected], reason: Reason
) -> None:
    verdict = judge_key("inbox", key, RULES)
    assert isinstance(verdict, outcome)
    assert verdict.reason == reason


@pytest.mark.parametrize(
    ("key", "models", "output_key"),
    [
        ("D2007.raw", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "D2007.zarr"),
        ("HB/D2007.RAW", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "HB/D2007.zarr"),
        ("-151966.raw", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "-151966.zarr"),
        ("v1.2/a.b.raw", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "v1.2/a.b.zarr"),
        ("glider/SG198.ad2cp", {"AD2CP"}, "glider/SG198.zarr"),
        ("m/x.azfp", {"AZFP6"}, "m/x.zarr"),
        ("m/15100520.01A", {"AZFP"}, "m/15100520.01A.zarr"),
        ("D2007.echogram.raw", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "D2007.echogram.zarr"),
        ("m/15100520.01b", {"AZFP"}, "m/15100520.01b.zarr"),
        ("survey/x/D2007.raw", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "done/x/D2007.nc"),
        ("survey/15100520.01A", {"AZFP"}, "done/15100520.01A.nc"),
        ("a b+c/ä#?%.raw", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "a b+c/ä#?%.zarr"),
        ("…/D2007.raw", {"EK60", "ES70", "EK80", "ES80", "EA640"}, "…/D2007.zarr"),
    ],
)
def test_names_of_echosounder_files(key: str, models: set[str], output_key: str) -> None:
    verdict = judge_key("inbox", key, RULES)
    assert isinstance(verdict, Candidate)
    assert (set(verdict.models), verdict.output_key) == (models, output_key)


@pytest.mark.parametrize("key", ["15100804.XML", "m/settings.xml"])
def test_an_xml_may_be_settings_of_azfp(key: str) -> None:
    assert isinstance(judge_key("inbox", key, RULES), SettingsXml)


def test_other_buckets_are_rejected() -> None:
    assert judge_key("output", "a.raw", RULES) == Ignored(Reason.OWN_OUTPUT, "in the output bucket")
    foreign = judge_key("other", "a.raw", RULES)
    assert isinstance(foreign, Rejected)
    assert foreign.reason == Reason.FOREIGN_BUCKET
    assert "inbox" in foreign.detail
    assert "other" in foreign.detail


def test_an_archives_outputs_are_below_its_name_after_the_mapped_prefix() -> None:
    rules = replace(RULES, archive_buckets=("archive",))
    for key, output_key in (("x/a.raw", "archive/x/a.zarr"), ("survey/a.raw", "done/archive/a.nc")):
        verdict = judge_key("archive", key, rules)
        assert isinstance(verdict, Candidate)
        assert verdict.output_key == output_key
    assert isinstance(judge_key("other", "a.raw", rules), Rejected)


@given(st.text())
def test_every_key_is_classified(key: str) -> None:
    judge_key("inbox", key, RULES)


@given(
    st.text(alphabet=st.characters(exclude_categories=["C", "Z"])), st.sampled_from(["raw", "01A"])
)
def test_no_two_data_files_of_a_family_share_an_output(stem: str, extension: str) -> None:
    one = judge_key("inbox", f"x{stem}.{extension}", RULES)
    two = judge_key("inbox", f"y{stem}.{extension}", RULES)
    assert not (
        isinstance(one, Candidate)
        and isinstance(two, Candidate)
        and one.output_key == two.output_key
    )


@pytest.mark.parametrize("name", ["x.raw2", "x.1A", "x.001A", "xraw"])
def test_similar_extensions_are_unknown(name: str) -> None:
    assert models_by_extension(name) == frozenset()
