"""The files that are dropped, each with the one outcome that its making gives it."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

EK60 = "ek60/D20070724-T042400.raw"
EK80 = ("ek80/-1519668699940320059.raw", "ek80/2917763601822576513.raw")
AZFP, AZFP_XML = "azfp/15100520-Test.01A", "azfp/15100804.XML"
AZFP_OF_CHANGING_BINS = "azfp/15100520-Test-Var_Chans.01A"
AD2CP = "ad2cp/SG198_0099_a.ad2cp"
COMPANION = "ek60/D20070724-T042400.bot"

# Of sixty files; whatever their number, each kind has at least one.
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
_TOLD_AGAIN = 0.2


@dataclass(frozen=True)
class Outcome:
    """The one outcome that a file has to end in.

    Attributes:
        kind: reconcile's class: done, quarantined, rejected or ignored.
        name: the failed run's state, or the trigger's reason; empty where it is done.
        facts: of what is in the output, as expected.json has them.
    """

    kind: str
    name: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Upload:
    """One put into the inbox."""

    key: str
    content: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cargo:
    """All that is dropped.

    Attributes:
        files: by key, the outcome that each file has to end in.
        uploads: in the order of their drops; a file that is uploaded again, and
            the settings XML, come here and not among `files`.
        told_again: keys whose notification is sent twice more.
    """

    files: Mapping[str, Outcome]
    uploads: Sequence[Upload]
    told_again: frozenset[str]


@dataclass
class _Loading:
    data: Path
    random: random.Random
    expected: Mapping[str, Any]
    files: dict[str, Outcome] = field(default_factory=dict)
    uploads: list[list[Upload]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def read(self, source: str) -> bytes:
        return (self.data / source).read_bytes()

    def key(self, extension: str, of: str) -> str:
        cruise = self.random.choice(("NW 24+1", "bågø", "Σ-2", "plain"))
        return f"{of}/{cruise}/leg-{self.random.randrange(3)}/{next(self.numbers):03}{extension}"

    def load(self, outcome: Outcome, *uploads: Upload) -> None:
        """One file; its uploads are dropped in this order, others in between."""
        self.files[uploads[-1].key] = outcome
        self.uploads.append(list(uploads))

    def done(self, source: str) -> Outcome:
        return Outcome("done", facts=self.expected[source])


def _whole(loading: _Loading, source: str, of: str) -> None:
    key = loading.key(Path(source).suffix, of)
    loading.load(loading.done(source), Upload(key, loading.read(source)))


def _ek60(loading: _Loading) -> None:
    _whole(loading, EK60, "EK60 files")


def _ek80(loading: _Loading) -> None:
    _whole(loading, loading.random.choice(EK80), "ek80 files")


def _ad2cp(loading: _Loading) -> None:
    _whole(loading, AD2CP, "ad2cp")


def _azfp(loading: _Loading, source: str = AZFP, outcome: Outcome | None = None) -> None:
    """Data and settings XML in a folder of their own, in either order; or the XML one folder above."""
    folder = f"azfp/mooring-{next(loading.numbers):03}"
    data = Upload(f"{folder}/a/{Path(source).name}", loading.read(source))
    above = loading.random.random() < 0.3
    xml = Upload(f"{folder}{'' if above else '/a'}/15100804.XML", loading.read(AZFP_XML))
    loading.files[data.key] = outcome or loading.done(source)
    loading.uploads.append([data, xml] if loading.random.random() < 0.5 else [xml, data])


def _changing_bins(loading: _Loading) -> None:
    _azfp(loading, AZFP_OF_CHANGING_BINS, Outcome("quarantined", "UnsupportedDatagram"))


def _truncated(loading: _Loading) -> None:
    source = loading.random.choice((EK60, *EK80, AD2CP))
    whole = loading.read(source)
    key = loading.key(Path(source).suffix, "cut")
    cut = whole[: int(len(whole) * loading.random.uniform(0.5, 0.9)) | 1]
    loading.load(Outcome("quarantined", "BadFile"), Upload(key, cut))


def _hole(loading: _Loading) -> None:
    whole = bytearray(loading.read(EK60))
    at = len(whole) // 2
    whole[at : at + 4096] = bytes(4096)
    loading.load(
        Outcome("quarantined", "BadFile"), Upload(loading.key(".raw", "holes"), bytes(whole))
    )


def _uploaded_again(loading: _Loading) -> None:
    """A file that is replaced by another of its key: by a whole one where it was cut, too."""
    key, (old, new) = loading.key(".raw", "again"), loading.random.sample(EK80, 2)
    first = loading.read(old)
    if loading.random.random() < 0.5:
        first = first[: len(first) // 2 | 1]
    loading.load(loading.done(new), Upload(key, first), Upload(key, loading.read(new)))


def _turned_away(
    kind: str, reason: str, extension: str, content: Callable[[_Loading], bytes], **metadata: str
) -> Callable[[_Loading], None]:
    def load(loading: _Loading) -> None:
        key = loading.key(extension, "odd")
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        loading.load(Outcome(kind, reason), Upload(key, content(loading), named))

    return load


_LOADERS: dict[str, Callable[[_Loading], None]] = {
    "ek60": _ek60,
    "ek80": _ek80,
    "azfp": _azfp,
    "ad2cp": _ad2cp,
    "truncated": _truncated,
    "hole": _hole,
    "changing bins": _changing_bins,
    "uploaded again": _uploaded_again,
    "wrong extension": _turned_away(
        "rejected", "unknown-extension", ".mp3", lambda loading: loading.read(EK80[0])
    ),
    "empty": _turned_away("rejected", "empty", ".raw", lambda _: b""),
    "wrong model": _turned_away(
        "rejected", "contradiction", ".raw", lambda loading: loading.read(EK60), sonar_model="EK80"
    ),
    "no sonar data": _turned_away(
        "rejected", "unknown-content", ".raw", lambda loading: loading.random.randbytes(5000)
    ),
    "companion": _turned_away(
        "ignored", "companion", ".bot", lambda loading: loading.read(COMPANION)
    ),
}


def load_cargo(data: Path, *, seed: int, files: int = 60) -> Cargo:
    """Make the files of a seed, mixed as said above.

    Args:
        data: the folder of real files.
        seed: the same seed makes the same files, under the same keys.
        files: how many.

    Raises:
        OSError: a real file is not there.
    """
    # S311: the same files have to come out again; nothing secret depends on it.
    random_ = random.Random(seed)  # noqa: S311
    loading = _Loading(data, random_, json.loads((data / "expected.json").read_text()))
    kinds = list(_SHARES)
    more = random_.choices(kinds, list(_SHARES.values()), k=max(0, files - len(kinds)))
    for kind in (kinds + more)[:files]:
        _LOADERS[kind](loading)
    again = {key for key in sorted(loading.files) if random_.random() < _TOLD_AGAIN}
    return Cargo(loading.files, _in_turn(loading.uploads, random_), frozenset(again))


def _in_turn(of_files: Sequence[Sequence[Upload]], random_: random.Random) -> list[Upload]:
    """All uploads mixed, those of one file in their order."""
    turns = [number for number, uploads in enumerate(of_files) for _ in uploads]
    random_.shuffle(turns)
    coming = [iter(uploads) for uploads in of_files]
    return [next(coming[number]) for number in turns]
