"""The first bytes of a file of each sonar model, by which the trigger recognizes the model.

sandbox.sea.sample_file writes whole files. Sources of the layouts:
lambda_trigger.decisions.sonar_model.
"""

import struct

# An NT time in 2007, in units of 100 ns since 1601.
_NT_TIME = 128_299_000_000_000_000
_EK_APPLICATIONS = {"EK80": "EK80", "ES80": "ES80", "EA640": "EA640"}
_SOUNDERS = {"EK60": "ER60", "ES70": "ES70"}


def file_head(sonar_model: str) -> bytes:
    """Return the first bytes, at least 400, of a file of this sonar model.

    Raises:
        KeyError: no such model.
    """
    if sonar_model in _SOUNDERS:
        texts = (b"survey", b"transect", _SOUNDERS[sonar_model].encode())
        return _datagram(b"CON0", b"".join(text.ljust(128, b"\0") for text in texts) + bytes(132))
    if sonar_model in _EK_APPLICATIONS:
        name = _EK_APPLICATIONS[sonar_model]
        header = f'<Header Copyright="" ApplicationName="{name}" Version="21.15.1"/>'
        xml = f'<?xml version="1.0" encoding="utf-8"?>\r\n<Configuration>{header}</Configuration>'
        return _datagram(b"XML0", xml.encode().ljust(400))
    return {
        "AZFP": b"\xfd\x02" + bytes(510),
        "AZFP6": struct.pack("<II", 0xF044CC11, 400) + b"<AZFP>".ljust(504),
        "AD2CP": b"\xa5\x0a\xa0\x10\x0c\x00" + bytes(506),
    }[sonar_model]


def _datagram(kind: bytes, body: bytes) -> bytes:
    length = len(kind) + 8 + len(body)
    return struct.pack("<i4sQ", length, kind, _NT_TIME) + body + struct.pack("<i", length)
