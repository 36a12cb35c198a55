"""Text in the fields of Simrad datagrams: ended by a NUL, and not always ASCII."""

from __future__ import annotations

_NUL = b"\x00"


def until_nul(field: bytes) -> bytes:
    """A field up to the NUL that ends it; what an older text left behind it is cut off."""
    return field.lstrip(_NUL).partition(_NUL)[0]


def latin_text(field: bytes) -> str:
    """The text of a field in EK60's format."""
    return until_nul(field).decode("latin_1")


def text_of(field: bytes) -> str:
    """The text of a field in EK80's format: UTF-8, or Latin-1 from a system with that code page."""
    text = until_nul(field)
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return text.decode("latin_1")
