"""Runs a real Prefect server with its UI, on SQLite or PostgreSQL."""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from sandbox.parts.environments import prefect_environment
from sandbox.parts.ports import HOST
from sandbox.parts.processes import Part

NAME = "prefect-server"
# Pooled connections to PostgreSQL. With Prefect's default of five, eight clients and Prefect's own
# services constantly opened and closed others.
_KEPT_CONNECTIONS = 25


def sqlite_url(folder: Path) -> str:
    """Return the URL of the SQLite database in a folder."""
    return f"sqlite+aiosqlite:///{folder / 'prefect.db'}"


def prefect_server(
    port: int,
    *,
    home: Path,
    database_url: str,
    environment: Mapping[str, str],
    log: Path,
    credential: str | None = None,
) -> Part:
    """Return the server's part.

    `home` is its PREFECT_HOME, `database_url` SQLAlchemy's; the server creates the tables.
    `credential` is the required `user:password`; None for no authentication.
    """
    api_url = f"http://{HOST}:{port}/api"
    module = "sandbox.prefect.sqlite_server" if database_url.startswith("sqlite") else "prefect"
    return Part(
        NAME,
        [sys.executable, "-m", module, "server", "start", "--host", HOST, "--port", str(port)],
        {
            **environment,
            **prefect_environment(home, api_url),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_url,
            **_pool(database_url),
            **({"PREFECT_SERVER_API_AUTH_STRING": credential} if credential else {}),
            "PREFECT_SERVER_UI_ENABLED": "true",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_CLI_PROMPT": "false",
        },
        log,
        is_ready=lambda: answers(f"{api_url}/health"),
    )


def _pool(database_url: str) -> dict[str, str]:
    if not database_url.startswith("postgresql"):
        return {}
    return {"PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": str(_KEPT_CONNECTIONS)}


def answers(url: str) -> bool:
    """Return whether a GET of this URL succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - a loopback http URL
            return bool(response.status < 400)
    except (urllib.error.URLError, OSError):
        return False
