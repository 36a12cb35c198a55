"""URLs and messages without passwords and signatures, which are published with outputs and in logs.

Names of the parameters: AWS Signature Version 4 and CloudFront, Google Cloud's signed URLs, Azure's
shared access signatures.
"""

from __future__ import annotations

import logging
import re

_HTTP = ("http://", "https://")
_USER = re.compile(r"(https?://)[^/?#\s]*@")
_QUERY = re.compile(r"\?([^#\s]*)")
_SECRET = re.compile(
    r"x-(?:amz|goog)-.*|signature|sig|awsaccesskeyid|googleaccessid|key-pair-id"
    r"|(?:.*[-_])?token|(?:.*[-_])?password|api[-_]?key",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"(?:.*[-_])?sig(?:nature)?", re.IGNORECASE)
# What a signature signs; without a signature such a parameter may choose the file.
_SIGNED = re.compile(
    r"expires|policy|s[veptri]|ss|srt|spr|sip|skoid|sktid|sk[testv]|ses|sdd|scid|s[au]oid",
    re.IGNORECASE,
)


def public_uri(uri: str) -> str:
    """An http(s) URL without user, password and signature; any other location is unchanged.

    Two URLs of one file that were signed at different times have the same public URI.
    """
    if not uri.startswith(_HTTP):
        return uri
    base, mark, query = _USER.sub(r"\1", uri).partition("?")
    query, hash_mark, fragment = query.partition("#")
    kept = _kept(query)
    return base + (mark if kept or not query else "") + kept + hash_mark + fragment


def public_text(text: str) -> str:
    """A message without the passwords and signatures of the URLs in it."""

    def shorter(found: re.Match[str]) -> str:
        kept = _kept(found[1])
        return f"?{kept}" if kept or not found[1] else ""

    return _QUERY.sub(shorter, _USER.sub(r"\1", text))


def public_lines(logger: str) -> None:
    """Take passwords and signatures out of the lines of a logger."""

    def shorter(record: logging.LogRecord) -> bool:
        record.msg, record.args = public_text(record.getMessage()), ()
        return True

    logging.getLogger(logger).addFilter(shorter)


def _kept(query: str) -> str:
    given = [(part.partition("=")[0], part) for part in query.split("&")]
    is_signed = any(_SIGNATURE.fullmatch(name) for name, _ in given)
    return "&".join(
        part
        for name, part in given
        if not _SECRET.fullmatch(name) and not (is_signed and _SIGNED.fullmatch(name))
    )
