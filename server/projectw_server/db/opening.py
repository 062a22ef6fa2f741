"""What is found out before the database is opened, so that a mistake is a sentence.

Tortoise takes its lock before it connects and does not give it back when that fails: a SQLite file that
cannot be opened would make the program wait for ever.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from tortoise.backends.base.config_generator import expand_db_url
from tortoise.backends.sqlite.client import SqliteClient
from tortoise.exceptions import BaseORMException, ConfigurationError

from projectw_server.db import sqlite
from projectw_server.db.backends import Backend
from projectw_shared.config import ConfigError, Mistake
from projectw_shared.text import safe

APP = "server"
SCHEMES = ("sqlite:", "postgres:", "postgresql:", "asyncpg:")
WAIT_SECONDS = 10.0

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
POSTGRES_OPTIONS = ("host", "port", "user", "password", "maxsize", "minsize", "sslmode")
"""What may stand behind the question mark of a PostgreSQL's URL."""


class DatabaseUnusable(Exception):
    """The database cannot be opened; the message says which and why, without its password."""


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what goes wrong inside into ConfigError for a wrong URL, and DatabaseUnusable for the rest."""
    found = _parsed(url)
    try:
        if url.startswith("sqlite:"):
            _try_sqlite(found["credentials"]["file_path"])
        yield
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise DatabaseUnusable(
            "PostgreSQL needs its driver; install it with: pip install 'project-w[postgres]'"
        ) from error
    except _errors(url) as error:
        raise DatabaseUnusable(f"The database {_shown(url)} cannot be used: {error}") from error


def check_url(url: str) -> None:
    """Raise ConfigError for a URL that names no database which this server can use; open nothing."""
    _parsed(url)


def sqlite_file(url: str) -> Path:
    """Return the file that a SQLite URL names."""
    return Path(_parsed(url)["credentials"]["file_path"])


def configuration(url: str) -> dict[str, Any]:
    """Return what Tortoise is to be opened with. Raises ConfigError."""
    found = _parsed(url)
    if url.startswith("sqlite:"):
        mark = "&" if "?" in url else "?"
        connection: str | dict[str, Any] = f"{url}{mark}{sqlite.PRAGMAS}"
    else:
        with explained(url):
            from projectw_server.db import postgres  # its driver is of an extra

            connection = {**found, "credentials": postgres.credentials(found["credentials"])}
    return {
        "connections": {"default": connection},
        "apps": {
            APP: {
                "models": ["projectw_server.db.models"],
                "migrations": "projectw_server.db.migrations",
                "default_connection": "default",
            }
        },
    }


def backend_of(client: Any) -> Backend:
    """Return how to work with the connection that Tortoise has opened."""
    if isinstance(client, SqliteClient):
        return sqlite.SqliteBackend(client)
    from projectw_server.db import postgres

    return postgres.PostgresBackend(client)


def _parsed(url: str) -> dict[str, Any]:
    try:
        if not url.startswith(SCHEMES):
            raise ValueError("names no database that this server can use")
        found = _expanded(url.replace("postgresql:", "postgres:", 1))
        if not url.startswith("sqlite:"):
            _check_options(found["credentials"])
        return found
    except ValueError as error:
        message = f"{error}; write sqlite:///PATH or postgres://USER:PASSWORD@HOST:5432/NAME"
        raise ConfigError([Mistake("server.database_url", None, message)]) from error


def _expanded(url: str) -> dict[str, Any]:
    try:
        return expand_db_url(url)
    except (ConfigurationError, ValueError) as error:
        # Their words quote parts of the address, and with a bare / ? or # in the password these are parts of it.
        hint = "a password's / ? # @ and : are written as %2F %3F %23 %40 and %3A"
        raise ValueError(f"cannot be read as an address; {hint}") from error


def _check_options(given: dict[str, Any]) -> None:
    """Put the options of a PostgreSQL's URL as its driver takes them. Raises ValueError for the first that is none."""
    for name in given.keys() - {*POSTGRES_OPTIONS, "database"}:
        # Repeated only when it is a slip: it may be half a password with a bare question mark in it.
        shown = f" {safe(name)}" if get_close_matches(name, POSTGRES_OPTIONS, 1) else ""
        raise ValueError(f"has the unknown option{shown}; there are {', '.join(POSTGRES_OPTIONS)}")
    for name, least in (("port", 1), ("maxsize", 1), ("minsize", 0)):
        if name in given and not (str(given[name]).isdecimal() and int(given[name]) >= least):
            raise ValueError(f"has a {name} that is no number from {least} on")
    if (mode := given.pop("sslmode", None)) is not None:
        if mode not in SSL_MODES:
            raise ValueError(f"has an sslmode that is none of {', '.join(SSL_MODES)}")
        given["ssl"] = mode


def _try_sqlite(path: str) -> None:
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _errors(url: str) -> tuple[type[Exception], ...]:
    ours = (OSError, sqlite3.Error, BaseORMException)
    if url.startswith("sqlite:"):
        return ours
    driver = import_module("asyncpg")
    return (*ours, driver.PostgresError, driver.InterfaceError, driver.InternalClientError)


def _shown(url: str) -> str:
    given = _parsed(url)["credentials"]
    if url.startswith("sqlite:"):
        return str(given["file_path"])
    return f"{given['host'] or ''}:{given['port']}/{given['database'] or ''}"
