"""All base images are named by digest."""

import pytest

from release.base_images import foreign_images, pinned, unpinned
from release.code_version import DOCKERFILE, ROOT

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


def test_the_dockerfile_is_pinned() -> None:
    text = (ROOT / DOCKERFILE).read_text()
    assert unpinned(text) == []
    assert foreign_images(text) != []


@pytest.mark.parametrize(
    "line",
    [
        "FROM python:3.13",
        "FROM --platform=$BUILDPLATFORM python:3.13 AS made",
        "ARG BASE=python:3.13\nFROM ${BASE}",
        "ARG BASE=python:3.13\nFROM $BASE AS made",
        f"FROM a@{DIGEST}\nCOPY --from=python:3.13 /a /b",
        f"# syntax=python:3.13\nFROM a@{DIGEST}",
        "FROM python:3.13@sha256:12",
    ],
)
def test_an_image_with_only_a_tag_is_found(line: str) -> None:
    (image,) = unpinned(line + "\n")
    assert image.startswith("python:3.13")


def test_stages_and_scratch_are_not_external_images() -> None:
    text = f"FROM a@{DIGEST} AS made\nFROM scratch\nCOPY --from=made /a /b\nFROM made\n"
    assert unpinned(text) == []


def test_current_digests_are_written_after_the_tags() -> None:
    text = f"ARG BASE=python:3.13@{DIGEST}\nFROM ${{BASE}} AS one\nFROM debian:12\n"
    written = pinned(text, lambda tag: {"python:3.13": OTHER, "debian:12": DIGEST}[tag])
    assert (
        written == f"ARG BASE=python:3.13@{OTHER}\nFROM ${{BASE}} AS one\nFROM debian:12@{DIGEST}\n"
    )
    assert unpinned(written) == []
