"""The error explains what to do if PostgreSQL is missing or unusable."""

from pathlib import Path

import pytest

from sandbox.parts import postgresql


def test_without_binaries_the_message_explains_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr("shutil.which", lambda *_: None)
    with pytest.raises(postgresql.PostgresqlMissing, match="apt-get install postgresql"):
        postgresql.find_binaries()


def test_a_server_without_the_trigram_extension_is_rejected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    initdb = tmp_path / "bin" / "initdb"
    initdb.parent.mkdir()
    initdb.touch()
    pg_config = initdb.with_name("pg_config")
    pg_config.write_text(f"#!/bin/sh\necho {tmp_path}/share\n")
    pg_config.chmod(0o755)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr("shutil.which", lambda *_: str(initdb))
    with pytest.raises(postgresql.PostgresqlMissing, match="pg_trgm"):
        postgresql.find_binaries()
