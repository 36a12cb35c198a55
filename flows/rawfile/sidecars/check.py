"""Checks whether the `.bot` and `.idx` of a raw file are intact, and of this file.

A sidecar that the caller named must be right. One that was found beside the file is left
out if it is not, because the raw file converts without it. A sidecar with more pings
than the raw file proves that the file was cut between two datagrams, which the walk
over the file cannot see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flows.core.outcomes import BadFile, BadSidecar
from flows.rawfile.sidecars.content import (
    TYPES,
    SidecarContent,
    UnfitSidecarError,
    plain,
    read_sidecar,
)
from flows.rawfile.sidecars.fit import TimeFit, column_channels, time_fit
from flows.stores.sidecars import NOT_OF_THIS_FILE, FetchedSidecar, left_out_sentence
from flows.walk.account import ADCP_PINGS, as_datetime
from flows.walk.summary import FileSummary, Times


@dataclass
class CheckedSidecars:
    """The result of the check.

    `fetched` are the sidecars to use, a settings XML among them, and `used` the contents of the others.
    `lacking` has a sentence for each that is left out, is incomplete, or has lost pings. The condition in
    `summary` is `truncated` or `hole` if a sidecar proves that `lost` pings are lost between its datagrams.
    """

    fetched: list[FetchedSidecar]
    used: list[SidecarContent]
    lacking: list[str]
    summary: FileSummary
    lost: int = 0


def check_sidecars(
    sidecars: Sequence[FetchedSidecar], summary: FileSummary, *, allow_partial: bool
) -> CheckedSidecars:
    """Read the sidecars and decide on each.

    `allow_partial`: leave a bad one out, and convert a file that has lost pings.

    Raises:
        BadSidecar: a named sidecar is damaged or of another file.
        BadFile: a sidecar proves that pings of the raw file are lost.
    """
    checked = CheckedSidecars([], [], [], summary)
    for sidecar in sidecars:
        if sidecar.kind not in TYPES:
            checked.fetched.append(sidecar)
            continue
        uri = sidecar.file.location.uri
        try:
            used, fit = _fitting(sidecar, summary)
        except UnfitSidecarError as unfit:
            if sidecar.named and not allow_partial:
                raise BadSidecar(summary.file, uri, str(unfit), unfit.fault) from None
            checked.lacking.append(left_out_sentence(uri, str(unfit), unfit.fault))
            continue
        checked.fetched.append(sidecar)
        checked.used.append(used)
        checked.lacking.extend(_lacking(uri, used, summary))
        if (lost := fit.without_ping).size:
            is_proof = fit.is_proof and _proves(used, summary)
            sentence = _lost_sentence(uri, used, lost, summary, is_proof=is_proof)
            if is_proof:
                checked.summary = _with_lost(summary, lost, sentence)
                checked.lost = max(checked.lost, lost.size)
            checked.lacking.append(sentence)
    damaged = checked.summary
    if damaged.condition != summary.condition and not allow_partial:
        failure = BadFile(summary.file, str(damaged.damage), last_good_ping=damaged.last_good_ping)
        failure.preflight = damaged.as_json()
        raise failure
    return checked


def _fitting(sidecar: FetchedSidecar, summary: FileSummary) -> tuple[SidecarContent, TimeFit]:
    """The sidecar's content, and how its times fit the pings; raises UnfitSidecarError."""
    content = read_sidecar(sidecar.file.path, sidecar.kind)
    pinging = _pinging(summary)
    if content.channels and not pinging & set(content.channels):
        cause = f"none of its channels pings in the file ({', '.join(content.channels)})"
        raise UnfitSidecarError(cause, NOT_OF_THIS_FILE)
    pings = _all_pings(summary)
    fit = time_fit(content.times, list(summary.ping_times.values()))
    if not fit.is_of_this_file:
        cause = f"it is from {_span(content.times)}, the file from {_span(pings)}"
        raise UnfitSidecarError(cause, NOT_OF_THIS_FILE)
    if sidecar.kind == "idx" or not content.times.size:
        return content, fit
    columns = column_channels(content.columns, content.channels, pinging)
    if columns is None:
        cause = f"its BOT0 have {content.columns} columns, and {len(pinging)} channels ping"
        raise UnfitSidecarError(cause, NOT_OF_THIS_FILE)
    return replace(content, column_channels=columns), fit


def _proves(used: SidecarContent, summary: FileSummary) -> bool:
    """Whether times without a ping prove lost pings.

    They do not if what the walk found explains them already, or if the `.bot` has columns for
    channels that never ping: it is of another recording, or the channels were selected later.
    """
    has_adcp = any(entry.type == ADCP_PINGS for entry in summary.not_converted)
    explained = summary.damage or summary.refused or summary.pings_unusable or has_adcp
    return not explained and set(used.column_channels) <= _pinging(summary)


def _pinging(summary: FileSummary) -> set[str]:
    return {plain(channel) for channel, count in summary.pings.items() if count}


def _all_pings(summary: FileSummary) -> Times:
    times = list(summary.ping_times.values())
    return np.unique(np.concatenate(times)) if times else np.empty(0, "datetime64[ns]")


def _lacking(uri: str, content: SidecarContent, summary: FileSummary) -> list[str]:
    name, held = TYPES[content.kind].decode(), content.times.size
    # A sounder writes one for each ping, either for all channels together or for each.
    pings = max(summary.pings.values(), default=0)
    sentences = [f"sidecar {uri} has {held} {name} for {pings} pings"] if held < pings else []
    if content.others:
        listed = ", ".join(f"{count} {type_}" for type_, count in sorted(content.others.items()))
        sentences.append(f"{listed} of sidecar {uri} are not converted")
    return sentences


def _lost_sentence(
    uri: str, content: SidecarContent, lost: Times, summary: FileSummary, *, is_proof: bool
) -> str:
    pings = _all_pings(summary).size
    plural = "s" if lost.size > 1 else ""
    # The file lacks the pings only if that is proved.
    what = (
        f"{lost.size} ping{plural} from {_span(lost)} are not in the file, or not of all channels"
        if is_proof
        else f"{lost.size} time{plural} of a sidecar ({_span(lost)}) without a ping in the file, "
        "or without one of all channels"
    )
    return (
        f"{what}: sidecar {uri} has {content.times.size} {TYPES[content.kind].decode()}, the file "
        f"{pings} ping times"
    )


def _with_lost(summary: FileSummary, lost: Times, sentence: str) -> FileSummary:
    pings = _all_pings(summary)
    at_the_end, before = not (pings > lost[0]).any(), pings[pings < lost[0]]
    place = "the end was cut off" if at_the_end else "datagrams were cut out"
    return replace(
        summary,
        condition="truncated" if at_the_end else "hole",
        damage=f"{place} between two whole datagrams: {sentence}",
        last_good_ping=as_datetime(before[-1]) if before.size else None,
    )


def _span(times: Times) -> str:
    known = times[~np.isnat(times)]
    first, last = (
        f"{np.datetime_as_string(time, unit='s')}Z" for time in (known.min(), known.max())
    )
    return first if first == last else f"{first} to {last}"
