"""What an operator should know of an installation: whether it is shut, whole, and free of what nobody owns."""

import stat
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

from projectw_server.accounts.chain import HEAD_FILE, Audit
from projectw_server.accounts.keys import signing_keys
from projectw_server.db import Database
from projectw_server.exposure import is_here
from projectw_server.jobs.service import known_jobs
from projectw_server.settings import ServerSettings
from projectw_server.storage.folder import FolderStore
from projectw_server.uploads.sweeping import BATCH, GRACE_SECONDS, Sweeping
from projectw_shared.errors import NotFound
from projectw_shared.findings import Finding, fail, ok, warn

SHOWN = 3
"""Ids that are named of many."""


async def examine(
    settings: ServerSettings, database: Database, store: FolderStore, *, repair: bool
) -> AsyncIterator[Finding]:
    """Yield every finding, as soon as it is known; with ``repair`` what nobody owns is removed."""
    for finding in _folders(settings):
        yield finding
    yield _network(settings)
    former = len(signing_keys(settings).find(None, time.time())) - 1
    yield ok("keys", f"one signs tokens, {former} former ones are still good")
    for finding in await _database(database):
        yield finding
    yield await _audit(settings, database)
    yield await _recordings_without_jobs(database, store, repair=repair)
    yield await _jobs_without_recordings(database, store)
    yield await _uploads(store)
    yield await _erasures(database)


def _folders(settings: ServerSettings) -> Iterator[Finding]:
    home = settings.home
    open_to = [each for each in (home, settings.recordings) if each.exists() and _others_may(each)]
    if open_to:
        names = " and ".join(str(each) for each in open_to)
        yield fail("folder", f"{names} can be entered by other users of this machine", f"chmod 700 {home}")
    else:
        yield ok("folder", f"{home} is this user's alone")
    for file in sorted(home.glob("*.key")):
        if _others_may(file):
            yield fail("keys", f"{file} can be read by other users of this machine", f"chmod 600 {file}")


def _network(settings: ServerSettings) -> Finding:
    if settings.tls_certificate_file:
        return ok("network", "the server speaks TLS itself")
    if is_here(settings.host):
        return ok("network", f"only this machine reaches {settings.host}")
    if settings.trusted_proxies:
        return ok("network", f"TLS is left to the proxies at {', '.join(settings.trusted_proxies)}")
    return warn(
        "network",
        "recordings, passwords and tokens cross the network unencrypted (insecure_plain_http)",
        "set tls_certificate_file and tls_key_file, or trusted_proxies",
    )


def _others_may(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


async def _database(database: Database) -> list[Finding]:
    if database.is_shared:
        return [ok("database", "PostgreSQL answers, and its tables are up to date")]
    found = [str(next(iter(row.values()))) for row in await database.rows("PRAGMA quick_check(5)")]
    broken = await database.rows("PRAGMA foreign_key_check")
    if found != ["ok"]:
        return [fail("database", "; ".join(found), "restore the last backup; the disk may be failing")]
    if broken:
        return [
            fail("database", f"{len(broken)} rows refer to others that are gone", "restore the last backup")
        ]
    return [ok("database", "whole, and its tables are up to date")]


async def _audit(settings: ServerSettings, database: Database) -> Finding:
    verdict = await Audit(database, settings.home / HEAD_FILE).verify()
    if verdict.fault is not None:
        message = f"entry {verdict.fault.number} {verdict.fault.what}"
        return fail("audit", message, "somebody had write access to the database; see docs/security.md")
    return ok("audit", f"{verdict.number} entries, none changed or missing")


async def _recordings_without_jobs(database: Database, store: FolderStore, *, repair: bool) -> Finding:
    sweeping = Sweeping(store, partial(known_jobs, database))
    if repair and (removed := await sweeping.sweep()):
        return ok("orphans", f"{removed} recordings that belonged to no job were removed")
    orphans = [each async for each in sweeping.orphans()]
    if not orphans:
        return ok("orphans", "every recording belongs to a job")
    return warn(
        "orphans",
        f"{len(orphans)} recordings belong to no job: {_some(orphans)}",
        f"the server removes those older than {GRACE_SECONDS / 3600:g} h by itself; so does doctor --repair",
    )


async def _jobs_without_recordings(database: Database, store: FolderStore) -> Finding:
    missing, wrong, after = list[str](), list[str](), ""
    while rows := await database.rows(
        "SELECT id, bytes FROM jobs WHERE id > $1 ORDER BY id LIMIT $2", after, BATCH
    ):
        for row in rows:
            try:
                if await store.size(row["id"]) != row["bytes"]:
                    wrong.append(row["id"])
            except NotFound:
                missing.append(row["id"])
        after = rows[-1]["id"]
    if not missing and not wrong:
        return ok("recordings", "every job has its recording, whole")
    parts = [
        f"{len(ids)} {what}: {_some(ids)}"
        for ids, what in ((missing, "jobs have none"), (wrong, "are of another length than was received"))
        if ids
    ]
    return fail(
        "recordings", "; ".join(parts), "restore the folder of recordings from a backup of the same time"
    )


async def _uploads(store: FolderStore) -> Finding:
    count, oldest = await store.incoming()
    if oldest is not None and time.time() - oldest > GRACE_SECONDS:
        return warn("uploads", f"{count} half uploads lie about", "the server removes them when it starts")
    return ok("uploads", f"{count} under way")


async def _erasures(database: Database) -> Finding:
    row = await database.row("SELECT count(*) AS number FROM users WHERE erased_at IS NOT NULL")
    number = row["number"] if row else 0
    if number:
        return warn(
            "erasing", f"{number} accounts are still being erased", "the server goes on with it while it runs"
        )
    return ok("erasing", "no deleted account is left half erased")


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more
