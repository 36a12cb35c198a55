"""Opens a raw file so that its samples stay in the file, or else with echopype."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from flows.core.outcomes import ConversionFailure, OutputMismatch
from flows.rawfile.corrections import FactsReader, SimradFacts
from flows.rawfile.echopype_reader import import_echopype
from flows.rawfile.oracle import chosen_pings, compare_chosen, write_chosen
from flows.rawfile.reading import read_exactly
from flows.rawfile.repairs.pings import written_kinds
from flows.rawfile.repairs.repairer import Repairer
from flows.rawfile.repairs.restored import rename_channels, restore
from flows.rawfile.skeleton import cuts_of, kept_counts, uncut, write_skeleton
from flows.rawfile.streamed import (
    RawSamples,
    UnknownLayoutError,
    attach_samples,
    pulses_or_none,
)
from flows.walk import write_whole_part
from flows.walk.repair_log import Repair
from flows.walk.sample_index import SampleIndex
from flows.walk.simrad.ek60 import EK60Walk
from flows.walk.summary import FileSummary

if TYPE_CHECKING:
    from echopype.echodata import EchoData

_DIFFERENCES_NAMED = 3


# Opens a file with echopype: the EchoData, and the parser's warnings.
Parse: TypeAlias = Callable[[Path], tuple["EchoData", list[str]]]


@dataclass(frozen=True)
class Engine:
    """How a file's samples were read, for the manifest.

    `streamed`: from the file, by its index; `whole`: by echopype, all at once, for this `reason`. The
    pings that were compared with echopype's have equal samples.
    """

    name: Literal["streamed", "whole"]
    reason: str | None = None
    compared_pings: int = 0
    compared_samples: int = 0


@dataclass(frozen=True)
class OpenedFile:
    """An EchoData, and the open file that its samples are read from until `close`.

    `repairs` are the changes to datagrams that echopype cannot read. `facts` are values of
    a Simrad file, for its corrections.
    """

    echodata: EchoData
    warnings: Sequence[str]
    engine: Engine
    repairs: Sequence[Repair] = ()
    facts: SimradFacts | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Close the raw file; the samples can no longer be read."""
        self._open.close()


def open_file(path: Path, summary: FileSummary, parse: Parse) -> OpenedFile:
    """Open a raw file that preflight has walked over.

    The folder of `path`, a local copy, must have room for a few more files.

    Raises:
        ConversionFailure: raised by `parse`; OutputMismatch if samples differ from echopype's.
        OSError: the file cannot be read, or the disk is full.
    """
    open_ = _open_records if summary.records is not None else _open_samples
    try:
        return open_(path, summary, parse)
    except OutputMismatch:
        raise
    except UnknownLayoutError as unknown:
        reason = str(unknown)
    except ConversionFailure as failure:
        # echopype may be able to read the whole file; else its error is reported.
        reason = f"its skeleton failed to open: {failure}"
    return _open_whole(path, summary, parse, reason)


def _open_samples(path: Path, summary: FileSummary, parse: Parse) -> OpenedFile:
    if summary.samples is None:
        raise UnknownLayoutError("echopype reads the samples of this format")
    with ExitStack() as stack:
        samples = RawSamples.open(path, summary.samples)
        stack.callback(samples.close)
        repairer = Repairer(summary.file, samples.pings.header)
        reader = FactsReader()
        skeleton = _skeleton(path, summary, samples, repairer, reader)
        echodata, warnings = parse(skeleton)
        rename_channels(echodata, repairer.restored.names)
        attach_samples(echodata, samples)
        restore(echodata, repairer.restored, samples.pings, _changed_modes(samples))
        chosen = path.with_name(f"chosen{path.suffix}")
        # What it repairs was noted above.
        again = Repairer(summary.file, samples.pings.header)
        start = summary.whole[0][0]
        own_times = write_chosen(chosen, samples, start, chosen_pings(samples), again)
        theirs, _ = parse(chosen)
        rename_channels(theirs, repairer.restored.names)
        pings, compared, differences = compare_chosen(echodata, theirs, own_times)
        if differences:
            raise OutputMismatch(summary.file, "; ".join(differences[:_DIFFERENCES_NAMED]))
        engine = Engine("streamed", None, pings, compared)
        repairs = (*summary.repairs, *repairer.log.repairs())
        facts = reader.facts(summary, samples.fd, samples.pulses)
        return OpenedFile(echodata, warnings, engine, repairs, facts, stack.pop_all())


def _open_records(path: Path, summary: FileSummary, parse: Parse) -> OpenedFile:
    import_echopype()
    # It imports echopype's modules.
    from flows.rawfile.nortek.groups import attach_records  # noqa: PLC0415
    from flows.rawfile.nortek.records import Records  # noqa: PLC0415

    with ExitStack() as stack:
        records = Records.open(path, summary)
        stack.callback(records.close)
        skeleton = path.with_name(f"skeleton{path.suffix}")
        records.write_skeleton(skeleton)
        echodata, warnings = parse(skeleton)
        skeleton.unlink()
        engine = Engine("streamed", None, *attach_records(echodata, records))
        return OpenedFile(echodata, warnings, engine, _open=stack.pop_all())


def _open_whole(path: Path, summary: FileSummary, parse: Parse, reason: str) -> OpenedFile:
    engine = Engine("whole", reason)
    if summary.samples is not None:
        return _open_whole_simrad(path, summary, summary.samples, parse, engine)
    if not summary.is_whole:
        whole = path.with_name(f"{path.name}.whole")
        write_whole_part(path, summary, whole)
        whole.replace(path)
    return OpenedFile(*parse(path), engine)


def _open_whole_simrad(
    path: Path, summary: FileSummary, pings: SampleIndex, parse: Parse, engine: Engine
) -> OpenedFile:
    repairer, reader = Repairer(summary.file, pings.header), FactsReader()
    whole = path.with_name(f"{path.name}.whole")
    write_skeleton(path, whole, summary.whole, summary.repeated, uncut(pings), repairer, reader)
    repairs = (*summary.repairs, *repairer.log.repairs())
    with ExitStack() as stack:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        facts = reader.facts(summary, fd, pulses_or_none(fd, pings))
        if summary.is_whole and not repairs and whole.stat().st_size == path.stat().st_size:
            whole.unlink()
        else:
            whole.replace(path)
        echodata, warnings = parse(path)
        rename_channels(echodata, repairer.restored.names)
        restore(echodata, repairer.restored, pings, {})
        return OpenedFile(echodata, warnings, engine, repairs, facts, stack.pop_all())


def _skeleton(
    path: Path,
    summary: FileSummary,
    samples: RawSamples,
    repairer: Repairer,
    facts: FactsReader,
) -> Path:
    folder = path.with_name("skeleton")
    folder.mkdir(exist_ok=True)
    pings, pulses = samples.pings, samples.pulses
    cuts = cuts_of(pings, kept_counts(pings), pulses) + cuts_of(pulses, kept_counts(pulses))
    target = folder / path.name
    write_skeleton(path, target, summary.whole, summary.repeated, cuts, repairer, facts)
    return target


def _changed_modes(samples: RawSamples) -> dict[int, int]:
    """The mode of each EK60 ping that has another one in the skeleton, by row."""
    pings = samples.pings
    if pings.header != EK60Walk.header:
        return {}
    rows = np.flatnonzero((pings.count == 0) | (pings.kind != written_kinds(pings))).tolist()
    heads = [read_exactly(samples.fd, 20, int(pings.offset[row])) for row in rows]
    return {
        row: struct.unpack_from("<h", head, 18)[0] for row, head in zip(rows, heads, strict=True)
    }
