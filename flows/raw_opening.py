"""Open a fetched raw file with echopype and turn its many exceptions into outcomes."""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.outcomes import BadFile, BadSidecar, ConversionFailure
from flows.postponed_imports import postpone_imports
from flows.sidecars import FetchedSidecar
from flows.source import FetchedFile

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# A parser that repeats itself for every ping must not fill the manifest.
_WARNINGS_KEPT = 50

# Settings without which echopype makes an output of an AZFP that cannot be calibrated, or none.
_SETTINGS = frozenset(
    {"num_freq", "BP", "DS", "EL", "TVR", "VTX0", "phase_number", "frequency_number_phase1"}
)

# One file at a time: the process's logging and its warning filters are changed for
# the one that is parsed. Little is lost, as parsing is Python code that holds the GIL.
_PARSER = threading.RLock()


def import_echopype() -> ModuleType:
    """echopype, with the process's logging left as it was.

    Its import takes a second and runs `logging.disable(WARNING)` for the whole
    process, which silences Prefect's INFO and WARNING lines.
    """
    with _PARSER:
        before = logging.root.manager.disable
        postpone_imports()
        # Deferred: what only reads locations or manifests need not wait for it.
        echopype = importlib.import_module("echopype")
        logging.disable(before)
        # Each of its modules also prints its INFO lines to stdout by a handler of
        # its own; what it warns of goes into the manifest.
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("echopype"):
                logging.getLogger(name).setLevel(logging.WARNING)
        return echopype


def open_raw_file(
    path: Path,
    sonar_model: str,
    sidecars: Sequence[FetchedSidecar],
    metadata: Mapping[str, Any],
    source_uri: str,
) -> tuple[EchoData, list[str]]:
    """The EchoData of a raw file, and what the parser warned of.

    The Provenance group names the sources by their URIs, not by the local
    copies that were parsed.

    Args:
        path: the local copy.
        sonar_model: as it was asked for.
        sidecars: fetched beside it.
        metadata: what the output is to say that the file does not, by the names of
            `convert_params`; echopype 0.11 takes them and drops them.
        source_uri: where the file came from.

    Raises:
        BadSidecar: the settings XML is broken, or none of an AZFP.
        BadFile: anything else that the parser cannot cope with. That the file is of
            the declared model and has its sidecars is decided before.
    """
    echopype = import_echopype()
    if xml := next((sidecar.file for sidecar in sidecars if sidecar.kind == "xml"), None):
        _check_settings(xml, source_uri)
    kinds = {sidecar.kind: sidecar.file for sidecar in sidecars}
    with _PARSER, _parser_warnings() as told:
        try:
            echodata = echopype.open_raw(
                str(path),
                sonar_model=sonar_model,
                xml_path=str(kinds["xml"].path) if "xml" in kinds else None,
                include_bot="bot" in kinds,
                include_idx="idx" in kinds,
            )
        # Whatever the parser trips over is the file's fault: it has been fetched
        # whole and is on the local disk.
        except Exception as error:
            raise _outcome_of(error, source_uri) from error
    name_sources(echodata, source_uri, kinds["xml"].location.uri if "xml" in kinds else None)
    _tell(echodata, metadata)
    return echodata, told


def _tell(echodata: EchoData, metadata: Mapping[str, Any]) -> None:
    """Put metadata where the convention has it: `water_level` is a variable, in metres."""
    told = dict(metadata)
    level, survey = told.pop("water_level", None), told.pop("survey_name", None)
    if survey is not None:
        echodata["Top-level"] = echodata["Top-level"].assign_attrs(survey_name=survey)
    platform = echodata["Platform"].assign_attrs(told)
    if level is not None:
        platform["water_level"] = platform["water_level"].copy(
            data=np.full(platform["water_level"].shape, float(level))
        )
    if metadata:
        echodata["Platform"] = platform


def _outcome_of(error: Exception, file: str) -> Exception:
    """The outcome that stands for what echopype 0.11 raises."""
    if isinstance(error, MemoryError | ConversionFailure):
        return error
    if (
        isinstance(error, OSError)
        and error.errno is not None
        and not isinstance(error, FileNotFoundError)
    ):
        # A full or broken local disk says nothing of the file.
        return error
    return BadFile(file, f"echopype cannot parse it: {type(error).__name__}: {error}")


def _check_settings(sidecar: FetchedFile, source_uri: str) -> None:
    """Load an AZFP settings XML by itself, as the parser would.

    Raises:
        BadSidecar: it is broken, or holds no settings of an AZFP.
    """
    # echopype is loaded by now.
    from echopype.convert.parse_azfp import ParseAZFP  # noqa: PLC0415

    settings = ParseAZFP(source_uri, str(sidecar.path))
    try:
        settings.load_AZFP_xml()
    except MemoryError:
        raise
    # BLE001: whatever else its reader trips over, the text is at fault.
    except Exception as error:
        cause = f"echopype reads no settings of an AZFP there: {type(error).__name__}: {error}"
        raise BadSidecar(source_uri, sidecar.location.uri, cause) from error
    if lacking := sorted(_SETTINGS - settings.parameters.keys()):
        raise BadSidecar(source_uri, sidecar.location.uri, f"it lacks {', '.join(lacking)}")


def name_sources(echodata: EchoData, source_uri: str, xml_uri: str | None) -> None:
    """Put the sources' URIs where echopype put the local paths it was given."""
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
    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._told = told
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        # Another thread may be encoding another file.
        if record.thread == self._thread:
            _keep(self._told, record.getMessage())


def _keep(told: list[str], message: str) -> None:
    if message not in told and len(told) < _WARNINGS_KEPT:
        told.append(message)


@contextmanager
def _parser_warnings() -> Iterator[list[str]]:
    """Collect what echopype logs and warns of while this thread parses."""
    told: list[str] = []
    collector = _Collector(told)
    logger = logging.getLogger("echopype")
    logger.addHandler(collector)
    thread = threading.get_ident()

    def hear(
        message: Warning | str, category: type[Warning], *_where: object, **_more: object
    ) -> None:
        # Deprecations and unclosed handles are echopype's affair, not the file's.
        if threading.get_ident() == thread and not issubclass(
            category, DeprecationWarning | FutureWarning | ResourceWarning
        ):
            _keep(told, str(message))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = hear
            yield told
    finally:
        logger.removeHandler(collector)
