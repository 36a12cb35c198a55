"""The walk returns a summary for any bytes, and the correct one for whole datagrams."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.core.outcomes import ConversionFailure
from flows.walk import decide, preflight, write_whole_part
from flows.walk.asl.azfp6 import XML_START
from sonar_models import SONAR_MODELS
from tests.unit.preflight.simrad_writer import (
    CHANNELS,
    Piece,
    con0,
    configuration,
    joined,
    nme0,
    parameters,
    raw0,
    raw3,
)

quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MAGIC = (
    b"",
    struct.pack("<i4sQ", 1000, b"CON0", 1),
    struct.pack("<i4sQ", 30, b"XML0", 1),
    b"\xfd\x02",
    struct.pack("<II", XML_START, 20),
    b"\xa5\x0a\x16\x10",
)


@st.composite
def ek60_files(draw: st.DrawFn) -> list[Piece]:
    """An EK60 file of three transceivers, with pings and sentences in any order."""
    one = st.one_of(
        st.builds(raw0, st.integers(1, 3), st.integers(0, 10**6), st.integers(0, 60)),
        st.builds(nme0, st.integers(0, 10**6), st.binary(max_size=80)),
    )
    return [con0(3), *draw(st.lists(one, max_size=25))]


@st.composite
def ek80_files(draw: st.DrawFn) -> list[Piece]:
    """An EK80 file of two channels, each ping after its parameters."""
    pieces = [configuration()]
    for channel, seconds, samples, text in draw(
        st.lists(
            st.tuples(
                st.sampled_from(CHANNELS),
                st.integers(0, 10**6),
                st.integers(1, 60),
                st.binary(max_size=30),
            ),
            max_size=12,
        )
    ):
        pieces += [parameters(channel, seconds), raw3(channel, seconds, samples), nme0(0, text)]
    return pieces


files = st.one_of(
    st.tuples(st.just("EK60"), ek60_files()), st.tuples(st.just("EK80"), ek80_files())
)


@quick
@given(
    magic=st.sampled_from(MAGIC),
    rest=st.binary(max_size=600),
    model=st.sampled_from(sorted(SONAR_MODELS)),
)
def test_any_bytes_have_a_summary(magic: bytes, rest: bytes, model: str, tmp_path: Path) -> None:
    path = tmp_path / "any"
    path.write_bytes(magic + rest)
    summary = preflight(path, model)
    with pytest.raises(ConversionFailure):
        decide(summary, model)
    assert summary.pings == {}


@quick
@given(file=files)
def test_whole_datagrams_are_counted_exactly(file: tuple[str, list[Piece]], tmp_path: Path) -> None:
    model, pieces = file
    path = tmp_path / "whole.raw"
    path.write_bytes(joined(pieces))
    summary = preflight(path, model)
    pings = [piece for piece in pieces if piece.channel is not None]
    assert summary.condition == ("intact" if pings else "empty")
    assert summary.bytes_unaccounted == 0
    assert summary.last_good_byte == summary.bytes_total
    assert summary.datagrams == dict(Counter(piece.type for piece in pieces))
    assert summary.pings == dict(Counter(piece.channel for piece in pings))
    if pings:
        assert summary.first_time is not None
        assert summary.last_time is not None
        seconds = [piece.seconds for piece in pings]
        assert (summary.last_time - summary.first_time).total_seconds() == max(seconds) - min(
            seconds
        )


@quick
@given(file=files, data=st.data())
def test_a_cut_anywhere_is_found_at_its_datagram(
    file: tuple[str, list[Piece]], data: st.DataObject, tmp_path: Path
) -> None:
    model, pieces = file
    content = joined(pieces)
    cut = data.draw(st.integers(1, len(content) - 1))
    path = tmp_path / "cut.raw"
    path.write_bytes(content[:cut])
    summary = preflight(path, model)
    start = 0
    whole: list[Piece] = []
    for piece in pieces:
        if start + len(piece.content) > cut:
            break
        start += len(piece.content)
        whole.append(piece)
    assert summary.last_good_byte == start
    assert summary.bytes_unaccounted == cut - start
    assert summary.pings == dict(Counter(p.channel for p in whole if p.channel is not None))
    if start < cut:
        assert summary.condition == "truncated"
        with pytest.raises(ConversionFailure, match=f"truncated at byte {start}"):
            decide(summary, model)


@quick
@given(file=files, data=st.data())
def test_a_hole_anywhere_leaves_a_whole_part(
    file: tuple[str, list[Piece]], data: st.DataObject, tmp_path: Path
) -> None:
    model, pieces = file
    content = joined(pieces)
    start = data.draw(st.integers(0, len(content) - 1))
    hole = data.draw(st.binary(min_size=1, max_size=400))
    damaged = (content[:start] + hole + content[start + len(hole) :])[: len(content)]
    path, part = tmp_path / "holed.raw", tmp_path / "part.raw"
    path.write_bytes(damaged)
    summary = preflight(path, model)
    # Bytes before the hole's datagram are intact, whatever is in the hole.
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece.content))
    assert summary.last_good_byte >= max(end for end in ends if end <= start)
    try:
        decide(summary, model, allow_partial=True)
    except ConversionFailure:
        return
    write_whole_part(path, summary, part)
    whole = preflight(part, model)
    decide(whole, model)
    assert whole.pings == summary.pings
    assert part.read_bytes() == b"".join(damaged[a:b] for a, b in summary.whole)
