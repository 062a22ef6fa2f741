"""What the servers that share a database must have in common beside it: the recordings, and the key of the sign-ins.

Looked at before a server answers: one with another folder would tell people that their recordings are gone, one with
another key would sign them out at every second request.
"""

import asyncio
import hashlib
import hmac
import time
from pathlib import Path

from projectw_server.accounts.keys import Key, signing_keys
from projectw_server.db import Database
from projectw_server.home import HomeError
from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError, Mistake
from projectw_shared.ids import is_id, new_id

MARK = "installation"
"""The file in the folder of recordings that names it."""

WATCHED_SECONDS = 4.0
"""How long it is looked whether another server lives; the holder of the office moves every second."""

_ANOTHER_KEY = (
    "is not the one that the servers running on this database have; give all of them the same signing_key (or "
    "signing_key_file), or stop the others first if it is to be a new one"
)


async def agree(database: Database, settings: ServerSettings) -> None:
    """See that this server has what the others have. Raises HomeError and ConfigError."""
    await _agree_on_folder(database, settings.recordings)
    keys = signing_keys(settings)
    key = _fingerprint(keys.current)
    known = await _fact(database, "signing-key", key)
    if known != key:
        # Not so after a rotation, of which the others have heard or will: the one that they know is a former one here.
        is_former = known in map(_fingerprint, keys.find(None, time.time()))
        if not is_former and await _others_live(database):
            raise ConfigError([Mistake("server.signing_key", None, _ANOTHER_KEY)])
        await database.rows("UPDATE facts SET value = $1 WHERE name = 'signing-key'", key)


def _fingerprint(key: Key) -> str:
    return hmac.digest(key.secret, b"which key this is", hashlib.sha256).hex()


async def mark_folder(folder: Path) -> str:
    """Return the mark of the folder of recordings, which gets one if it has none."""
    if (here := await asyncio.to_thread(_read, folder / MARK)) is not None:
        return here
    await asyncio.to_thread(_write, folder / MARK, mark := new_id())
    return mark


async def bind_folder(database: Database, mark: str) -> None:
    """Let the folder with ``mark`` be the one that belongs to ``database``, unless it has one."""
    await _fact(database, "recordings", mark)


async def _agree_on_folder(database: Database, folder: Path) -> None:
    mark = folder / MARK
    here = await asyncio.to_thread(_read, mark)
    known = await _fact(database, "recordings", here or new_id())
    if here is None and await asyncio.to_thread(_is_empty, folder) and await _is_unused(database):
        await asyncio.to_thread(_write, mark, known)
    elif here != known:
        raise HomeError(
            f"{folder} is not the folder of recordings that belongs to this database; every server needs the same "
            "one, as over NFS: set server.data_dir"
        )


async def _is_unused(database: Database) -> bool:
    return await database.row("SELECT 1 AS found FROM jobs LIMIT 1") is None


async def _fact(database: Database, name: str, value: str) -> str:
    """Return what is known under ``name``, which is ``value`` if nothing was."""
    await database.rows(
        "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", name, value
    )
    row = await database.row("SELECT value FROM facts WHERE name = $1", name)
    assert row is not None, "it was there or is now"
    return str(row["value"])


async def _others_live(database: Database) -> bool:
    before = await database.rows("SELECT holder, beat FROM offices")
    await asyncio.sleep(WATCHED_SECONDS)
    return before != await database.rows("SELECT holder, beat FROM offices")


def _is_empty(folder: Path) -> bool:
    return not any(folder.glob("blobs/*/*"))


def _read(mark: Path) -> str | None:
    try:
        text = mark.read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return text if is_id(text) else None


def _write(mark: Path, value: str) -> None:
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = mark.with_name(f".{MARK}.{new_id()}")
    draft.write_text(value + "\n", "ascii")
    draft.replace(mark)
