"""What to do at a terminal; the outcomes' own remedies are for the inbox's operator."""

from __future__ import annotations

from flows.core.outcomes import BadFile
from flows.core.run_ends import Outcome

REMEDIES = {
    "BadFile": "get an intact copy, or convert the intact part: --allow-partial",
    "WrongModel": "leave --model out, or give the file's model",
    "MissingSidecar": "give the settings XML of the deployment: --xml FILE",
    "BadSidecar": "get an intact copy, or convert without the damaged data: --allow-partial",
    "UnsupportedDatagram": "convert without the datagram, if the message allows it: --allow-partial",
    "OutputConflict": "choose another output, or replace it: --overwrite",
    "SourceChanged": "convert the file again when nothing writes to it",
    "OutputMismatch": "convert the file again; if it fails again, report a bug",
    "AccessDenied": "check the name, your permissions, and for S3 your credentials and region "
    "(a public bucket: --anon); `echodrop doctor` shows them",
    "Archived": "restore the object from its archive tier: aws s3api restore-object",
    "DiskFault": "choose a folder that can be written to, or free space there and in TMPDIR",
    "OutOfMemory": "use a machine with more memory, or fewer files at a time: --jobs 1",
    "Defect": "convert the file alone, and report a bug with what is printed",
    "Crashed": "convert the file alone, on a machine with more memory",
}


def remedy_of(failure: Outcome) -> str:
    """What to do about a failure; empty if its sentence says all."""
    if isinstance(failure, BadFile) and not failure.last_good_byte:
        # There is no intact part.
        return ""
    return REMEDIES.get(failure.outcome, "")
