"""Peak memory of a conversion by sonar model and file size.

The peak is echopype's, while it parses. What comes later takes less: encoding
releases each chunk; a netCDF file goes up in at most eight parts of 64 MB at a
time; a store that is read back whole is there twice, compressed. Coefficients
are the straight lines through whole conversions, S3 to S3 and read back whole, that

    python -m benchmarks.memory_fit      (and --swap)

prints, echopype 0.11.1 on Python 3.11, rounded up. EK80's is of complex
samples on five channels that ping in turn: echopype pads each channel's
silent pings, so that more channels take more. AZFP6 was not at hand and is
taken for AZFP; ES70, ES80 and EA640 have the formats of EK60 and EK80.
"""

from __future__ import annotations

# Python with all that a conversion imports, and what S3's client and the writers keep.
_FIXED = 290_000_000

_BYTES_PER_FILE_BYTE = {
    "EK60": 9.2,
    "ES70": 9.2,
    "EK80": 31.0,
    "ES80": 31.0,
    "EA640": 31.0,
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
