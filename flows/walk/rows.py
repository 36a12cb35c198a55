"""A file's summary as rows for people."""

from __future__ import annotations

from flows.walk.summary import FileSummary


def check_rows(summary: FileSummary) -> list[tuple[str, str]]:
    """The output of `echodrop check`: (label, text) in reading order."""
    rows = [
        ("file", summary.file),
        ("declared as", summary.sonar_model),
        ("format", summary.found or "unknown"),
        ("condition", summary.condition.replace("_", " ")),
    ]
    if summary.damage:
        rows.append(("damage", summary.damage))
    rows.extend(
        ("not supported", f"{refused.count} {type_}: {refused.cause}")
        for type_, refused in summary.refused.items()
    )
    rows.append(("bytes", f"{summary.bytes_total:,}"))
    if summary.bytes_unaccounted:
        rows.append(("bytes lost", f"{summary.bytes_unaccounted:,}"))
    if summary.last_good_byte < summary.bytes_total:
        rows.append(("intact up to byte", f"{summary.last_good_byte:,}"))
    if summary.last_good_ping and summary.condition != "intact":
        rows.append(("last whole ping before it", summary.last_good_ping.isoformat()))
    rows.extend((f"datagrams {type_}", f"{count:,}") for type_, count in summary.datagrams.items())
    rows.extend((f"pings of {channel}", f"{count:,}") for channel, count in summary.pings.items())
    if summary.pings_unusable:
        rows.append(("pings without their parameters", f"{summary.pings_unusable:,}"))
    if summary.first_time and summary.last_time:
        rows.append(("first ping", summary.first_time.isoformat()))
        rows.append(("last ping", summary.last_time.isoformat()))
    rows.extend(("left out", what.sentence(name)) for name, what in summary.left_out.items())
    rows.extend(("not converted", sentence) for sentence in summary.unconverted)
    rows.extend(("repaired", str(repair)) for repair in summary.repairs)
    rows.extend(("note", note) for note in summary.notes)
    return rows
