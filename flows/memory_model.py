"""Peak memory of a conversion by sonar model and file size.

The peak is echopype's, while it parses: of a Simrad file the skeleton, so that it follows
the number of datagrams rather than their samples; of AZFP and AD2CP the whole file. What
comes later takes less: encoding and putting hold a bounded number of chunks, and a netCDF
file goes up in at most eight parts of 64 MB at a time. Coefficients are the straight lines
through whole conversions, S3 to S3 and read back whole, that

    python -m benchmarks.memory_fit

prints, echopype 0.11.1 on Python 3.11, rounded up. AZFP6 was not at hand and is taken for
AZFP; ES70, ES80 and EA640 have the formats of EK60 and EK80. A Simrad file whose samples
are of a layout that the index does not know takes as much as echopype does: 9 bytes a byte
of EK60, 31 of EK80. It ends for want of memory, and runs again in a larger task.
"""

from __future__ import annotations

# Python with all that a conversion imports, and what S3's client and the writers keep.
_FIXED = 290_000_000

_BYTES_PER_FILE_BYTE = {
    "EK60": 1.4,
    "ES70": 1.4,
    "EK80": 1.4,
    "ES80": 1.4,
    "EA640": 1.4,
    "AZFP": 5.0,
    "AZFP6": 5.0,
    "AD2CP": 80.0,
}


class UnknownSonarModelError(ValueError):
    """A sonar model that echopype does not know."""

    def __init__(self, sonar_model: str) -> None:
        self.sonar_model = sonar_model
        known = ", ".join(_BYTES_PER_FILE_BYTE)
        super().__init__(f"{sonar_model!r} is no sonar model that echopype knows: {known}")


def peak_bytes(sonar_model: str, file_bytes: int) -> int:
    """Bytes of resident memory at the peak of one conversion, without Prefect's own.

    Raises UnknownSonarModelError.
    """
    model = sonar_model.upper()
    if model not in _BYTES_PER_FILE_BYTE:
        raise UnknownSonarModelError(sonar_model)
    return _FIXED + round(_BYTES_PER_FILE_BYTE[model] * file_bytes)
