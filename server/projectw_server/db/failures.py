"""What the database says when it cannot, read as errors that a client understands."""

import errno
import sqlite3

from tortoise.exceptions import DBConnectionError, OperationalError, TransactionManagementError

from projectw_shared.errors import ProjectWError, StorageFull, Unavailable

_BUSY = ("database is locked", "database table is locked")
_FULL = ("database or disk is full", "no space left on device")
_DISK = ("disk i/o error", "unable to open database file", "attempt to write a readonly database")


def translated(error: Exception) -> ProjectWError | None:
    """Return what ``error`` means for a client, or None when it is no failure of the database or the disk."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("The server's disk is full; nothing was stored")
    if isinstance(error, DBConnectionError | ConnectionRefusedError):
        return Unavailable("The database does not answer; try again", retry_after=5)
    if not isinstance(error, OperationalError | TransactionManagementError | sqlite3.OperationalError):
        return None
    text = str(error).lower()
    if any(words in text for words in _FULL):
        return StorageFull("The server's disk is full; nothing was stored")
    if any(words in text for words in _BUSY):
        return Unavailable("The database is busy; try again", retry_after=1)
    if any(words in text for words in _DISK):
        return Unavailable("The database cannot be read or written; try again", retry_after=5)
    return None
