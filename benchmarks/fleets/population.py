"""People, runners and jobs, written by the product's own classes before a server starts.

Through the doors a thousand accounts would take minutes, most of them for passwords that nobody types here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projectw_server import home
from projectw_server.accounts.signing import Claims
from projectw_server.api.context import EXTENSION, Services
from projectw_server.api.doors import Door
from projectw_server.app import create_app
from projectw_server.db import Database, open_database
from projectw_server.db.models import Job, Session, User
from projectw_server.settings import ServerSettings
from projectw_shared.ids import new_id

DAY = 86_400.0
BATCH = 500
"""Rows to a statement."""

STATES = ("queued", "succeeded")


@dataclass(frozen=True)
class Member:
    """A person who is signed in."""

    id: str
    token: str


@dataclass(frozen=True)
class Population:
    """Who may call the servers."""

    admin: Member
    people: list[Member]
    runner_tokens: list[str]


def server_settings(data: Path, database_url: str | None) -> dict[str, Any]:
    """Return the settings that the population and every server share."""
    # An access token has to outlive the longest run, and no accident of the machine's disk should refuse a recording.
    shared: dict[str, Any] = {"data_dir": str(data), "min_free_bytes": 0, "access_token_minutes": 24 * 60}
    return shared if database_url is None else {**shared, "database_url": database_url}


@asynccontextmanager
async def opened(settings: dict[str, Any]) -> AsyncIterator[tuple[Services, Database, list[Door]]]:
    """Open the services of a server that does not run, with its database and its doors."""
    typed = ServerSettings(**{**settings, "data_dir": Path(settings["data_dir"])})
    home.prepare(typed.home)
    async with open_database(typed.database) as database:
        app = create_app(typed, database)
        doors = [view.door for view in app.view_functions.values() if hasattr(view, "door")]
        yield app.extensions[EXTENSION], database, doors


async def populate(services: Services, *, people: int, runners: int) -> Population:
    """Make an admin, ``people`` and ``runners``, all of them with tokens that are good."""
    members = await _members(services, people + 1)
    tokens = [(await services.runner_tokens.create(f"runner-{number}")).token for number in range(runners)]
    return Population(members[0], members[1:], tokens)


async def _members(services: Services, count: int) -> list[Member]:
    """Return people with a sign-in each, the first of them an admin; nobody knows a password of theirs."""
    claims = [Claims(new_id(), new_id()) for _ in range(count)]
    users = [
        User(
            id=each.user_id,
            email=f"{each.user_id}@example.org",
            password_hash="",
            is_admin=n == 0,
            created_at=0.0,
        )
        for n, each in enumerate(claims)
    ]
    sessions = [
        Session(id=each.session_id, user_id=each.user_id, created_at=0.0, expires_at=4e9) for each in claims
    ]
    await User.bulk_create(users, batch_size=BATCH)
    await Session.bulk_create(sessions, batch_size=BATCH)
    return [Member(each.user_id, services.sessions.sign(each)) for each in claims]


async def fill(owners: list[Member], count: int, *, held: int) -> None:
    """Write ``count`` jobs without recordings, spread over ``owners``: ``held`` run, half of the rest wait."""
    for begin in range(0, count, BATCH * 10):
        numbers = range(begin, min(count, begin + BATCH * 10))
        jobs = [_job(owners[n % len(owners)], n, "running" if n < held else STATES[n % 2]) for n in numbers]
        await Job.bulk_create(jobs, batch_size=BATCH)


def _job(owner: Member, number: int, state: str) -> Job:
    is_held = state == "running"
    return Job(
        id=new_id(),
        owner_id=owner.id,
        file_name="talk.wav",
        media_type="audio/wav",
        bytes=1_000_000,
        sha256="0" * 64,
        settings="{}",
        state=state,
        start_tag=float(number),
        finish_tag=float(number + 1),
        lease=int(is_held),
        lease_expires_at=0.0 if is_held else None,
        runner_id=new_id() if is_held else None,
        runner_session=new_id() if is_held else None,
        runner_name="gone" if is_held else None,
        runner_version="1" if is_held else None,
        created_at=0.0,
        revision=0,
    )
