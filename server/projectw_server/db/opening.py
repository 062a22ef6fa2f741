"""What is found out before the database is opened, so that a mistake is a sentence.

Tortoise takes its lock before it connects and does not give it back when that fails: a SQLite file that
cannot be opened would make the program wait for ever.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from tortoise.backends.base.config_generator import expand_db_url
from tortoise.exceptions import BaseORMException, ConfigurationError

from projectw_shared.config import ConfigError, Mistake

SCHEMES = ("sqlite:", "postgres:", "asyncpg:")
WAIT_SECONDS = 10.0


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
    except _errors(url) as error:
        raise DatabaseUnusable(f"The database {_shown(url)} cannot be used: {error}") from error


def check_url(url: str) -> None:
    """Raise ConfigError for a URL that names no database which this server can use; open nothing."""
    _parsed(url)


def _parsed(url: str) -> dict[str, Any]:
    try:
        if not url.startswith(SCHEMES):
            raise ValueError("names no database that this server can use")
        return expand_db_url(url)
    except (ConfigurationError, ValueError) as error:
        message = f"{error}; write sqlite:///PATH or postgres://USER:PASSWORD@HOST:5432/NAME"
        raise ConfigError([Mistake("server.database_url", None, message)]) from error


def _try_sqlite(path: str) -> None:
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _errors(url: str) -> tuple[type[Exception], ...]:
    ours = (OSError, sqlite3.Error, BaseORMException)
    if url.startswith("sqlite:"):
        return ours
    try:
        driver = import_module("asyncpg")
    except ModuleNotFoundError:  # an extra of its own; Tortoise then says what is missing
        return (*ours, ModuleNotFoundError)
    return (*ours, driver.PostgresError, driver.InterfaceError)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return parts.path if parts.scheme == "sqlite" else f"{parts.hostname}:{parts.port or 5432}{parts.path}"
