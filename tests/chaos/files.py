"""Makes the uploaded files of a chaos test, each with its expected outcome."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.expected_facts import expected_facts

EK60 = "ek60/D20070724-T042400.raw"
EK80 = ("ek80/-1519668699940320059.raw", "ek80/2917763601822576513.raw")
AZFP, AZFP_XML = "azfp/15100520-Test.01A", "azfp/15100804.XML"
AZFP_OF_CHANGING_BINS = "azfp/15100520-Test-Var_Chans.01A"
AD2CP = "ad2cp/SG198_0099_a.ad2cp"
COMPANION = "ek60/D20070724-T042400.bot"

# Shares in sixty files. Every set of files has at least one of each kind.
_SHARES = {
    "ek60": 7,
    "ek80": 12,
    "azfp": 7,
    "ad2cp": 5,
    "truncated": 4,
    "hole": 2,
    "changing bins": 1,
    "uploaded again": 4,
    "wrong extension": 4,
    "empty": 3,
    "wrong model": 4,
    "no sonar data": 3,
    "companion": 4,
}
_NOTIFIED_AGAIN = 0.2


@dataclass(frozen=True)
class ExpectedOutcome:
    """The expected outcome of a file.

    Attributes:
        kind: reconcile's class: done, quarantined, rejected or ignored.
        name: the failed run's state or the trigger's reason; empty for done.
        facts: the output's contents, as in expected.json.
    """

    kind: str
    name: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileUpload:
    """One PUT into the inbox."""

    key: str
    content: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChaosFiles:
    """All files of a chaos test.

    Attributes:
        outcomes: each file's expected outcome, by key.
        uploads: all uploads in order, including replaced files and settings XML.
        notified_again: keys whose notification is sent two more times.
    """

    outcomes: Mapping[str, ExpectedOutcome]
    uploads: Sequence[FileUpload]
    notified_again: frozenset[str]


@dataclass
class _Builder:
    data: Path
    random: random.Random
    expected: Mapping[str, Any]
    outcomes: dict[str, ExpectedOutcome] = field(default_factory=dict)
    uploads: list[list[FileUpload]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def read(self, source: str) -> bytes:
        return (self.data / source).read_bytes()

    def key(self, extension: str, of: str) -> str:
        cruise = self.random.choice(("NW 24+1", "bågø", "Σ-2", "plain"))
        return f"{of}/{cruise}/leg-{self.random.randrange(3)}/{next(self.numbers):03}{extension}"

    def add(self, outcome: ExpectedOutcome, *uploads: FileUpload) -> None:
        """Add a file with its uploads in order; other files' uploads come in between."""
        self.outcomes[uploads[-1].key] = outcome
        self.uploads.append(list(uploads))

    def done(self, source: str) -> ExpectedOutcome:
        return ExpectedOutcome("done", facts=self.expected[source])


def _whole(builder: _Builder, source: str, of: str) -> None:
    key = builder.key(Path(source).suffix, of)
    builder.add(builder.done(source), FileUpload(key, builder.read(source)))


def _ek60(builder: _Builder) -> None:
    _whole(builder, EK60, "EK60 files")


def _ek80(builder: _Builder) -> None:
    _whole(builder, builder.random.choice(EK80), "ek80 files")


def _ad2cp(builder: _Builder) -> None:
    _whole(builder, AD2CP, "ad2cp")


def _azfp(builder: _Builder, source: str = AZFP, outcome: ExpectedOutcome | None = None) -> None:
    """Add data and settings XML in random order; the XML may be in the parent folder."""
    folder = f"azfp/mooring-{next(builder.numbers):03}"
    data = FileUpload(f"{folder}/a/{Path(source).name}", builder.read(source))
    above = builder.random.random() < 0.3
    xml = FileUpload(f"{folder}{'' if above else '/a'}/15100804.XML", builder.read(AZFP_XML))
    builder.outcomes[data.key] = outcome or builder.done(source)
    builder.uploads.append([data, xml] if builder.random.random() < 0.5 else [xml, data])


def _changing_bins(builder: _Builder) -> None:
    _azfp(builder, AZFP_OF_CHANGING_BINS, ExpectedOutcome("quarantined", "UnsupportedDatagram"))


def _truncated(builder: _Builder) -> None:
    source = builder.random.choice((EK60, *EK80, AD2CP))
    whole = builder.read(source)
    key = builder.key(Path(source).suffix, "cut")
    cut = whole[: int(len(whole) * builder.random.uniform(0.5, 0.9)) | 1]
    builder.add(ExpectedOutcome("quarantined", "BadFile"), FileUpload(key, cut))


def _hole(builder: _Builder) -> None:
    whole = bytearray(builder.read(EK60))
    at = len(whole) // 2
    whole[at : at + 4096] = bytes(4096)
    builder.add(
        ExpectedOutcome("quarantined", "BadFile"),
        FileUpload(builder.key(".raw", "holes"), bytes(whole)),
    )


def _uploaded_again(builder: _Builder) -> None:
    """Add a file, complete or truncated, that is replaced by another file under the same key."""
    key, (old, new) = builder.key(".raw", "again"), builder.random.sample(EK80, 2)
    first = builder.read(old)
    if builder.random.random() < 0.5:
        first = first[: len(first) // 2 | 1]
    builder.add(builder.done(new), FileUpload(key, first), FileUpload(key, builder.read(new)))


def _not_converted(
    kind: str, reason: str, extension: str, content: Callable[[_Builder], bytes], **metadata: str
) -> Callable[[_Builder], None]:
    def add(builder: _Builder) -> None:
        key = builder.key(extension, "odd")
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        builder.add(ExpectedOutcome(kind, reason), FileUpload(key, content(builder), named))

    return add


_ADDERS: dict[str, Callable[[_Builder], None]] = {
    "ek60": _ek60,
    "ek80": _ek80,
    "azfp": _azfp,
    "ad2cp": _ad2cp,
    "truncated": _truncated,
    "hole": _hole,
    "changing bins": _changing_bins,
    "uploaded again": _uploaded_again,
    "wrong extension": _not_converted(
        "rejected", "unknown-extension", ".mp3", lambda builder: builder.read(EK80[0])
    ),
    "empty": _not_converted("rejected", "empty", ".raw", lambda _: b""),
    "wrong model": _not_converted(
        "rejected", "contradiction", ".raw", lambda builder: builder.read(EK60), sonar_model="EK80"
    ),
    "no sonar data": _not_converted(
        "rejected", "unknown-content", ".raw", lambda builder: builder.random.randbytes(5000)
    ),
    "companion": _not_converted(
        "ignored", "companion", ".bot", lambda builder: builder.read(COMPANION)
    ),
}


def make_files(data: Path, *, seed: int, files: int = 60) -> ChaosFiles:
    """Make a random mix of files; the same seed gives the same files and keys.

    Args:
        data: the folder of real files.
        seed: the seed of the random numbers.
        files: number of files.

    Raises:
        OSError: a real file is missing.
    """
    # S311: the files must be reproducible; nothing secret depends on it.
    random_ = random.Random(seed)
    builder = _Builder(data, random_, expected_facts(data))
    kinds = list(_SHARES)
    more = random_.choices(kinds, list(_SHARES.values()), k=max(0, files - len(kinds)))
    for kind in (kinds + more)[:files]:
        _ADDERS[kind](builder)
    again = {key for key in sorted(builder.outcomes) if random_.random() < _NOTIFIED_AGAIN}
    return ChaosFiles(builder.outcomes, _mixed(builder.uploads, random_), frozenset(again))


def _mixed(of_files: Sequence[Sequence[FileUpload]], random_: random.Random) -> list[FileUpload]:
    """Return all uploads in random order; the uploads of one file keep their order."""
    turns = [number for number, uploads in enumerate(of_files) for _ in uploads]
    random_.shuffle(turns)
    remaining = [iter(uploads) for uploads in of_files]
    return [next(remaining[number]) for number in turns]
