"""A private PostgreSQL cluster from the installed binaries, for the Prefect server.

Each start creates a new cluster. It listens only on a loopback port. Durability is
off, because the cluster is removed with the sandbox.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sandbox.parts.ports import HOST
from sandbox.parts.processes import Part, SandboxError

NAME = "postgresql"
_USER = "prefect"
_SYSTEM_USER = "postgres"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "log_min_messages": "warning",
}


class PostgresqlMissing(SandboxError):  # noqa: N818 - the name says what happened
    """No usable PostgreSQL server is installed."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{why}. Install PostgreSQL with its contrib modules (Debian: apt-get install "
            "postgresql), give the URL of a database (--database postgresql+asyncpg://...), "
            "or stay with --database sqlite."
        )


class PostgresqlFailed(SandboxError):  # noqa: N818 - the name says what happened
    """A PostgreSQL program ended with an error."""


def find_binaries() -> Path:
    """Return the folder with the programs of the newest installed PostgreSQL server.

    Raises:
        PostgresqlMissing: no server is installed, or it lacks pg_trgm, which Prefect's
            migrations create; or this process is root and there is no system user
            for PostgreSQL, which refuses to run as root.
    """
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: [int(n) for n in path.parts[4].split(".") if n.isdigit()],
    )
    on_path = shutil.which("initdb")
    found = debian or ([Path(on_path).resolve()] if on_path else [])
    if not found:
        raise PostgresqlMissing("no PostgreSQL server is installed")
    binaries = found[-1].parent
    if not _has_trigram_extension(binaries):
        raise PostgresqlMissing(f"the PostgreSQL at {binaries} lacks the extension pg_trgm")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            raise PostgresqlMissing(
                f"PostgreSQL cannot run as root, and the user {_SYSTEM_USER} does not exist"
            ) from None
    return binaries


def database_url(port: int) -> str:
    """Return the SQLAlchemy URL of the private cluster's database."""
    return f"postgresql+asyncpg://{_USER}@{HOST}:{port}/{_USER}"


def create_cluster(binaries: Path, folder: Path) -> Path:
    """Create an empty cluster and return its folder.

    If this process is root, the cluster belongs to the system user and is in the
    system's temporary folder, because that user may have no access to the sandbox's
    folder. `folder` is then a link to it.

    Raises:
        PostgresqlFailed: initdb failed.
    """
    remove_cluster(folder)
    if os.geteuid() == 0:
        data = Path(tempfile.mkdtemp(prefix="echodrop-postgresql-"))
        shutil.chown(data, _SYSTEM_USER, _SYSTEM_USER)
        folder.symlink_to(data)
    else:
        data = folder
        data.mkdir(mode=0o700)
    command = [
        *_as_system_user(),
        str(binaries / "initdb"),
        *("--pgdata", str(data), "--username", _USER, "--auth", "trust"),
        *("--encoding", "UTF8", "--no-locale", "--no-sync"),
    ]
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        command, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise PostgresqlFailed(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return data


def remove_cluster(folder: Path) -> None:
    """Remove the cluster that `create_cluster` created, if it exists."""
    if folder.is_symlink():
        shutil.rmtree(folder.resolve(), ignore_errors=True)
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def postgresql(
    binaries: Path, data: Path, port: int, environment: Mapping[str, str], log: Path
) -> Part:
    """Return the part that runs the cluster. It is ready when the database exists."""
    settings = [item for name, value in _SETTINGS.items() for item in ("-c", f"{name}={value}")]

    def is_ready() -> bool:
        reach = ["--host", HOST, "--port", str(port), "--username", _USER]
        up = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [str(binaries / "pg_isready"), *reach, "--quiet"], check=False, timeout=10
        )
        if up.returncode != 0:
            return False
        created = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [str(binaries / "createdb"), *reach, _USER],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return created.returncode == 0 or "already exists" in created.stderr

    return Part(
        NAME,
        [
            *_as_system_user(),
            str(binaries / "postgres"),
            *("-D", str(data), "-p", str(port)),
            *settings,
        ],
        environment,
        log,
        is_ready=is_ready,
        # SIGINT is PostgreSQL's fast shutdown: it ends client sessions.
        stop_signal=signal.SIGINT,
    )


def _as_system_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", *(f"--re{kind}={_SYSTEM_USER}" for kind in ("uid", "gid")), "--clear-groups"]


def _has_trigram_extension(binaries: Path) -> bool:
    shown = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [str(binaries / "pg_config"), "--sharedir"], check=False, capture_output=True, text=True
    )
    folders = [Path(shown.stdout.strip())] if shown.returncode == 0 else []
    # Debian's pg_config may belong to another version than the server.
    folders.append(Path("/usr/share/postgresql") / binaries.parent.name)
    return any((folder / "extension" / "pg_trgm.control").is_file() for folder in folders)
