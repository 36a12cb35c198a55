"""Opens a raw file so that its samples stay in the file, or else with echopype."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from flows.core.outcomes import ConversionFailure, OutputMismatch
from flows.rawfile.corrections import FactsReader, SimradFacts
from flows.rawfile.echopype_reader import import_echopype
from flows.rawfile.oracle import OwnTimes, chosen_pings, compare_chosen, write_chosen
from flows.rawfile.reading import read_exactly
from flows.rawfile.repairs.pings import written_kinds
from flows.rawfile.repairs.repairer import Repairer
from flows.rawfile.repairs.restored import rename_channels, restore
from flows.rawfile.skeleton import cuts_of, kept_counts, uncut, write_skeleton
from flows.rawfile.streamed import RawSamples, UnknownLayoutError, attach_samples
from flows.walk import write_whole_part
from flows.walk.repair_log import Repair
from flows.walk.sample_index import SampleIndex
from flows.walk.simrad.ek60 import EK60Walk
from flows.walk.summary import FileSummary

if TYPE_CHECKING:
    from echopype.echodata import EchoData

_DIFFERENCES_NAMED = 3


class Parse(Protocol):
    """Opens a file with echopype."""

    def __call__(self, path: Path, *, with_sidecars: bool) -> tuple[EchoData, list[str]]:
        """The EchoData, and the parser's warnings."""
        ...


@dataclass(frozen=True)
class Engine:
    """How a file's samples were read, for the manifest.

    Attributes:
        name: `streamed`: from the file, by its index; `whole`: by echopype, all at once.
        reason: why the file was read whole.
        compared_pings: pings that echopype also read, with equal samples.
        compared_samples: samples of these pings.
    """

    name: Literal["streamed", "whole"]
    reason: str | None = None
    compared_pings: int = 0
    compared_samples: int = 0

    def as_json(self) -> dict[str, Any]:
        """The manifest's `engine`."""
        return asdict(self)


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

    Args:
        path: the local copy; its folder must have room for a few more files.
        summary: summary of the walk.
        parse: opens a file with echopype.

    Raises:
        ConversionFailure: raised by `parse`; OutputMismatch if samples differ from echopype's.
        OSError: the file cannot be read, or the disk is full.
    """
    if summary.records is not None:
        return _open_records(path, summary, parse)
    if summary.samples is None:
        return _open_whole(path, summary, parse, "echopype reads the samples of this format")
    with ExitStack() as stack:
        try:
            samples = RawSamples.open(path, summary.samples)
            stack.callback(samples.close)
            repairer = Repairer(summary.file, samples.pings.header)
            reader = FactsReader()
            skeleton = _skeleton(path, summary, samples, repairer, reader)
            echodata, warnings = parse(skeleton, with_sidecars=True)
            rename_channels(echodata, repairer.restored.names)
            attach_samples(echodata, samples)
            restore(echodata, repairer.restored, samples.pings, _changed_modes(samples))
            chosen, own_times = _chosen(path, summary, samples)
            theirs, _ = parse(chosen, with_sidecars=False)
            rename_channels(theirs, repairer.restored.names)
            compared = compare_chosen(echodata, theirs, own_times)
        except UnknownLayoutError as unknown:
            return _open_whole(path, summary, parse, unknown.reason)
        except ConversionFailure as failure:
            # echopype may be able to read the whole file; else its error is reported.
            return _open_whole(path, summary, parse, f"its skeleton failed to open: {failure}")
        if compared.differences:
            named = "; ".join(map(str, compared.differences[:_DIFFERENCES_NAMED]))
            raise OutputMismatch(summary.file, named)
        engine = Engine("streamed", None, compared.pings, compared.samples)
        repairs = (*summary.repairs, *repairer.log.repairs())
        facts = reader.facts(path, summary)
        stack.callback(facts.close)
        return OpenedFile(echodata, warnings, engine, repairs, facts, stack.pop_all())


def _open_records(path: Path, summary: FileSummary, parse: Parse) -> OpenedFile:
    import_echopype()
    # It imports echopype's modules.
    from flows.rawfile.nortek.groups import attach_records  # noqa: PLC0415
    from flows.rawfile.nortek.records import Records  # noqa: PLC0415

    with ExitStack() as stack:
        try:
            records = Records.open(path, summary)
            stack.callback(records.close)
            skeleton = path.with_name(f"skeleton{path.suffix}")
            records.write_skeleton(skeleton)
            echodata, warnings = parse(skeleton, with_sidecars=True)
            skeleton.unlink()
            compared = attach_records(echodata, records)
        except UnknownLayoutError as unknown:
            reason = unknown.reason
        except ConversionFailure as failure:
            # As with Simrad's skeletons.
            reason = f"its skeleton failed to open: {failure}"
        else:
            engine = Engine("streamed", None, *compared)
            return OpenedFile(echodata, warnings, engine, _open=stack.pop_all())
    return _open_whole(path, summary, parse, reason)


def _open_whole(path: Path, summary: FileSummary, parse: Parse, reason: str) -> OpenedFile:
    engine = Engine("whole", reason)
    if summary.samples is not None:
        return _open_whole_simrad(path, summary, summary.samples, parse, engine)
    if not summary.is_whole:
        whole = path.with_name(f"{path.name}.whole")
        write_whole_part(path, summary, whole)
        whole.replace(path)
    echodata, warnings = parse(path, with_sidecars=True)
    return OpenedFile(echodata, warnings, engine)


def _open_whole_simrad(
    path: Path, summary: FileSummary, pings: SampleIndex, parse: Parse, engine: Engine
) -> OpenedFile:
    repairer, reader = Repairer(summary.file, pings.header), FactsReader()
    whole = path.with_name(f"{path.name}.whole")
    write_skeleton(path, whole, summary.whole, summary.repeated, uncut(pings), repairer, reader)
    repairs = (*summary.repairs, *repairer.log.repairs())
    with ExitStack() as stack:
        facts = reader.facts(path, summary)
        stack.callback(facts.close)
        if summary.is_whole and not repairs and whole.stat().st_size == path.stat().st_size:
            whole.unlink()
        else:
            whole.replace(path)
        echodata, warnings = parse(path, with_sidecars=True)
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


def _chosen(path: Path, summary: FileSummary, samples: RawSamples) -> tuple[Path, OwnTimes]:
    target = path.with_name(f"chosen{path.suffix}")
    repairer = Repairer(summary.file, samples.pings.header)
    rows = chosen_pings(samples)
    return target, write_chosen(target, samples, summary.whole[0][0], rows, repairer)
