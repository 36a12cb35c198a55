"""Opens a fetched raw file with echopype and turns its exceptions into outcomes."""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.core.outcomes import BadFile, ConversionFailure, UnsupportedDatagram
from flows.rawfile.azfp.settings import check_settings
from flows.rawfile.faster_parser import speed_up_parser
from flows.stores.download import FetchedFile

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# A limit, so that a parser that warns for every ping does not fill the manifest.
_WARNINGS_KEPT = 50

_REFUSED = (
    "its datagrams are whole, but echopype cannot read what they hold; the file is not damaged, and "
    "needs a newer version of echopype or of echodrop"
)

# `import echopype` imports its calibration, cleaning, gridding and masks, and with them
# scipy.signal, geopy and aiohttp: half of its time. Python's LazyLoader postpones that until the
# first use. scipy.signal and scipy.fftpack are postponed by themselves: calibration and dask import
# them, and hardly ever use them.
POSTPONED = frozenset(
    f"echopype.{name}" for name in ("calibrate", "clean", "commongrid", "consolidate", "mask")
) | {"scipy.signal", "scipy.fftpack"}

# One file at a time: the logging and warning filters of the process are changed during parsing.
# This costs little time, because parsing is Python code that holds the GIL.
_PARSER = threading.RLock()


def import_echopype() -> ModuleType:
    """Import echopype and restore the process's logging.

    Its import takes a second and runs `logging.disable(WARNING)` for the whole
    process, which silences Prefect's INFO and WARNING lines.
    """
    with _PARSER:
        before = logging.root.manager.disable
        if not any(isinstance(finder, _PostponingFinder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _PostponingFinder())
        is_first = "echopype" not in sys.modules
        collects = gc.isenabled()
        # No collections: what is imported stays, and they take a fifth of the time.
        gc.disable()
        try:
            # Deferred: code that only reads locations or manifests does not need it.
            echopype = importlib.import_module("echopype")
        finally:
            if collects:
                gc.enable()
        if is_first:
            speed_up_parser()
            # Over 100,000 objects that live as long as the process: the collections during a
            # conversion and at the end of the process skip them.
            gc.freeze()
        logging.disable(before)
        # Each of its modules also prints INFO lines to stdout with its own handler; its warnings go
        # into the manifest.
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("echopype"):
                logging.getLogger(name).setLevel(logging.WARNING)
        return echopype


class _PostponingFinder(importlib.abc.MetaPathFinder):
    """Finds the postponed modules as Python does, and loads them at their first use."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if fullname not in POSTPONED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def open_raw_file(
    path: Path,
    sonar_model: str,
    xml: FetchedFile | None,
    metadata: Mapping[str, Any],
    source_uri: str,
) -> tuple[EchoData, list[str]]:
    """The EchoData of a raw file's local copy, and the parser's warnings.

    The Provenance group has the URIs of the sources, not the paths of the local copies. `xml` are the
    settings of an AZFP. `metadata` is what the file does not have, by the names in `convert_params`;
    echopype 0.11 accepts it and drops it.

    Raises:
        BadSidecar: the settings XML is broken, or not from an AZFP.
        BadFile: the file's name has a suffix that echopype does not accept.
        UnsupportedDatagram: any other error of the parser. The walk has found every datagram
            that it gets whole, and the model and the sidecars were checked before, so this is
            the parser's limit, not damage.
    """
    echopype = import_echopype()
    if xml is not None:
        check_settings(xml, path, source_uri)
    try:
        echopype.core.SONAR_MODELS[sonar_model]["validate_ext"](path.suffix.upper())
    except ValueError as error:
        raise BadFile(source_uri, f"its name has a wrong suffix: {error}") from error
    # It imports echopype.
    from flows.rawfile.azfp.parsers import without_limits  # noqa: PLC0415

    with _PARSER, _parser_warnings() as messages, without_limits():
        try:
            xml_path = str(xml.path) if xml is not None else None
            echodata = echopype.open_raw(str(path), sonar_model=sonar_model, xml_path=xml_path)
        # Any error of the parser concerns this file, because it is complete on the local disk.
        except Exception as error:
            raise _outcome_of(error, source_uri) from error
    _name_sources(echodata, source_uri, xml.location.uri if xml is not None else None)
    _add_metadata(echodata, metadata)
    return echodata, messages


def _add_metadata(echodata: EchoData, metadata: Mapping[str, Any]) -> None:
    """Store metadata where the convention requires it: `water_level` is a variable in metres."""
    attributes = dict(metadata)
    level, survey = attributes.pop("water_level", None), attributes.pop("survey_name", None)
    if survey is not None:
        echodata["Top-level"] = echodata["Top-level"].assign_attrs(survey_name=survey)
    platform = echodata["Platform"].assign_attrs(attributes)
    if level is not None:
        platform["water_level"] = platform["water_level"].copy(
            data=np.full(platform["water_level"].shape, float(level))
        )
    if metadata:
        echodata["Platform"] = platform


def _outcome_of(error: Exception, file: str) -> Exception:
    """The outcome for an exception of echopype 0.11."""
    of_the_disk = isinstance(error, OSError) and error.errno is not None
    if isinstance(error, MemoryError | ConversionFailure):
        return error
    # With a full or broken local disk, the file may be intact.
    if of_the_disk and not isinstance(error, FileNotFoundError):
        return error
    detail = f"{type(error).__name__}: {error}"
    return UnsupportedDatagram(file, None, _REFUSED, detail=detail)


def _name_sources(echodata: EchoData, source_uri: str, xml_uri: str | None) -> None:
    """Replace echopype's local paths of the sources with their URIs."""
    provenance = echodata["Provenance"]
    names = {"source_filenames": source_uri}
    if xml_uri is not None:
        names["meta_source_filenames"] = xml_uri
    echodata["Provenance"] = provenance.assign(
        {
            name: (variable.dims, [uri], variable.attrs)
            for name, uri in names.items()
            if (variable := provenance.get(name)) is not None
        }
    )
    echodata.source_file = source_uri


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        # Another thread may be encoding another file.
        if record.thread == self._thread:
            _keep(self._messages, record.getMessage())


def _keep(messages: list[str], message: str) -> None:
    if message not in messages and len(messages) < _WARNINGS_KEPT:
        messages.append(message)


@contextmanager
def _parser_warnings() -> Iterator[list[str]]:
    """Collect echopype's log messages and warnings while this thread parses."""
    messages: list[str] = []
    collector = _Collector(messages)
    logger = logging.getLogger("echopype")
    logger.addHandler(collector)
    thread = threading.get_ident()

    def collect(
        message: Warning | str, category: type[Warning], *_where: object, **_more: object
    ) -> None:
        # Deprecations and unclosed handles concern echopype, not the file.
        if threading.get_ident() == thread and not issubclass(
            category, DeprecationWarning | FutureWarning | ResourceWarning
        ):
            _keep(messages, str(message))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = collect
            yield messages
    finally:
        logger.removeHandler(collector)
