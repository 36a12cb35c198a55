"""Locations of files: S3, http(s) or a local path, with unescaped names.

An S3 URI here is `s3://` + bucket + `/` + key without escaping: object keys may contain
`?`, `#`, `%`, blanks and any Unicode, so `urllib.parse` must not be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from flows.core.public_uri import public_uri
from sonar_models import without_extension

OutputType = Literal["netcdf", "zarr"]

OUTPUT_SUFFIXES: dict[OutputType, str] = {"netcdf": ".nc", "zarr": ".zarr"}

# The objects beside an output: the claim while a run publishes it, the manifest once it is complete,
# and the report if the conversion failed.
CLAIM_SUFFIX = ".claim.json"
MANIFEST_SUFFIX = ".manifest.json"
FAILURE_SUFFIX = ".failure.json"
# The products of a complete output, and their record, which is written last.
PICTURE_SUFFIX = ".echogram.png"
THUMBNAIL_SUFFIX = ".thumbnail.png"
VIEWER_SUFFIX = ".echogram.zarr"
PRODUCTS_SUFFIX = ".products.json"


@dataclass(frozen=True)
class S3Location:
    """An object, or the root of a store, in a bucket."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The location as `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The part after the last slash."""
        return self.key.rpartition("/")[2]

    def sibling(self, name: str) -> S3Location:
        """Another name in the same folder."""
        folder, slash, _ = self.key.rpartition("/")
        return S3Location(self.bucket, f"{folder}{slash}{name}")

    def child(self, name: str) -> S3Location:
        """A name below this location."""
        return S3Location(self.bucket, f"{self.key.rstrip('/')}/{name}" if self.key else name)

    def as_prefix(self) -> S3Location:
        """The same with a slash at the key's end, unless it is the whole bucket."""
        return self.child("") if self.key else self


@dataclass(frozen=True)
class HttpLocation:
    """A file at an http(s) URL; read only."""

    url: str

    @property
    def uri(self) -> str:
        """The URL without user, password and signature: it is recorded, compared and shown."""
        return public_uri(self.url)

    @property
    def name(self) -> str:
        """The last segment of the URL's path, unescaped."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    def sibling(self, name: str) -> HttpLocation:
        """Another name (not escaped) in the same folder, with the same query."""
        parts = urlsplit(self.url)
        folder = parts.path.rpartition("/")[0]
        return HttpLocation(urlunsplit(parts._replace(path=f"{folder}/{quote(name)}")))


@dataclass(frozen=True)
class LocalLocation:
    """A file or folder on this machine."""

    path: Path

    @property
    def uri(self) -> str:
        """The absolute path."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    def sibling(self, name: str) -> LocalLocation:
        """Another name in the same folder."""
        return LocalLocation(self.path.with_name(name))

    def child(self, name: str) -> LocalLocation:
        """A name below this location."""
        return LocalLocation(self.path / name)


Location = S3Location | HttpLocation | LocalLocation
OutputLocation = S3Location | LocalLocation


def parse_location(text: str) -> Location:
    """The location that a URI or path names.

    Raises:
        ValueError: the text is empty, lacks bucket or host, or has a scheme other
            than s3, http and https.
    """
    if not text:
        raise ValueError("the location is empty")
    scheme, mark, rest = text.partition("://")
    if not mark:
        try:
            return LocalLocation(Path(text).expanduser().absolute())
        except RuntimeError as error:
            raise ValueError(f"{text}: {error}") from error
    if scheme == "s3":
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise ValueError(f"{text}: has no bucket")
        return S3Location(bucket, key)
    if scheme in {"http", "https"}:
        try:
            host = parse_url(text).host
        except LocationParseError as error:
            raise ValueError(f"{public_uri(text)}: is not a URL") from error
        if not host:
            raise ValueError(f"{public_uri(text)}: has no host")
        return HttpLocation(text)
    raise ValueError(f"{text}: only s3://, http(s):// and local paths are allowed, not {scheme}://")


def converted_name(raw_name: str, output_type: OutputType) -> str:
    """The name of the output of a raw file: `D2007.raw` -> `D2007.zarr`."""
    return without_extension(raw_name) + OUTPUT_SUFFIXES[output_type]


def output_location(output_path: str, raw_name: str, output_type: OutputType) -> OutputLocation:
    """The output's location: `output_path` if it has an output's suffix, else a name below it.

    Raises:
        ValueError: `output_path` has a scheme that cannot be written to, or the suffix
            of the other output type, or is the name of a product of another output; or
            `raw_name` has a slash.
    """
    # The text itself: `s3://` without its slashes would be a local name.
    parse_location(output_path)
    stripped = output_path.rstrip("/") or output_path
    location = parse_location(stripped)
    if isinstance(location, HttpLocation):
        # TRY004: the value is wrong, not its type.
        raise ValueError(f"output_path {public_uri(output_path)}: http(s) cannot be written to")  # noqa: TRY004
    for known, suffix in OUTPUT_SUFFIXES.items():
        if stripped.endswith(suffix):
            if known != output_type:
                raise ValueError(
                    f"output_path {output_path} ends in {suffix}, but output_type is {output_type}"
                )
            return _not_a_product(location)
    if "/" in raw_name:
        # `%2F` in a URL: the output would lie in another folder.
        raise ValueError(f"the raw file's name {raw_name!r} has a '/': give the output's own path")
    return _not_a_product(location.child(converted_name(raw_name, output_type)))


def _not_a_product(output: OutputLocation) -> OutputLocation:
    of = output.name.removesuffix(VIEWER_SUFFIX)
    if of != output.name and of.endswith(tuple(OUTPUT_SUFFIXES.values())):
        raise ValueError(f"output {output.uri} would have the name of the viewer store of {of}")
    return output
