"""Putting the server together: the only file that knows every other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from types import ModuleType

from quart import Quart

from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.runner_tokens import RunnerTokens
from projectw_server.accounts.sessions import Sessions
from projectw_server.accounts.signing import signing_key
from projectw_server.accounts.users import Users
from projectw_server.api import (
    accounts,
    auth,
    events,
    jobs,
    operations,
    runners,
    submitting,
)
from projectw_server.api.asgi import BoundedConnection, BoundedRequest
from projectw_server.api.context import EXTENSION, Services
from projectw_server.api.edge import surround
from projectw_server.clock import Clock
from projectw_server.db import Database
from projectw_server.db.failures import translated
from projectw_server.dispatch.dispatcher import Dispatcher
from projectw_server.dispatch.fleet import Fleet
from projectw_server.dispatch.presence import Presence
from projectw_server.dispatch.sweeper import CHECKPOINT_EVERY, DELETIONS_EVERY, LEASES_EVERY, every
from projectw_server.events.bus import Bus
from projectw_server.jobs.feed import Feed
from projectw_server.jobs.leases import Leases
from projectw_server.jobs.moves import Moves
from projectw_server.jobs.progress import Progress
from projectw_server.jobs.service import Jobs
from projectw_server.jobs.transcripts import Transcripts
from projectw_server.settings import ServerSettings
from projectw_server.storage.folder import FolderStore
from projectw_server.uploads.health import Health
from projectw_server.uploads.receiving import Receiving
from projectw_server.uploads.submitting import Submitting
from projectw_server.uploads.sweeping import Sweeping

DOORS: tuple[ModuleType, ...] = (auth, accounts, submitting, jobs, events, runners, operations)


def create_app(settings: ServerSettings, database: Database, store: FolderStore | None = None) -> Quart:
    """Return the web application over an open database; it works from its ``before_serving`` on.

    ``store`` replaces the folder of recordings under the data directory.
    """
    app = Quart("projectw_server", static_folder=None)
    app.request_class = BoundedRequest
    app.asgi_http_class = BoundedConnection
    # A streamed body is counted where it is received; Quart's limit would only look at what is buffered.
    app.config["MAX_CONTENT_LENGTH"] = None
    app.config["BODY_TIMEOUT"] = None
    store = store or FolderStore(settings.home / "recordings")
    services = assemble(settings, database, store)
    app.extensions[EXTENSION] = services
    for module in DOORS:
        app.register_blueprint(module.doors.blueprint(tight_per_minute=settings.login_attempts_per_minute))
    surround(app, translated)

    @app.while_serving
    async def work() -> AsyncGenerator[None, None]:
        await store.clear_incoming()
        await services.leases.renew_all()
        tasks = [
            asyncio.create_task(services.dispatcher.match(), name="match"),
            asyncio.create_task(every(LEASES_EVERY, services.leases.expire, "leases"), name="leases"),
            asyncio.create_task(
                every(DELETIONS_EVERY, services.feed.forget_old_deletions, "deletions"), name="deletions"
            ),
            asyncio.create_task(
                every(CHECKPOINT_EVERY, database.checkpoint, "checkpoint"), name="checkpoint"
            ),
            asyncio.create_task(Sweeping(store, services.jobs.known).run(), name="orphans"),
        ]
        yield
        services.stop()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return app


def assemble(settings: ServerSettings, database: Database, store: FolderStore) -> Services:
    """Return the services over ``database`` and ``store``, wired to one another."""
    clock, bus, progress = Clock(), Bus(), Progress()
    moves = Moves(clock=clock, bus=bus, progress=progress, max_attempts=settings.max_attempts)
    leases = Leases(database, moves, clock, lease_seconds=settings.lease_seconds)
    fleet = Fleet(
        database,
        leases,
        Presence(settings.beat_seconds),
        clock,
        heartbeat_seconds=settings.beat_seconds,
        lease_seconds=settings.lease_seconds,
    )
    passwords = Passwords()
    receiving = Receiving(store, settings)
    jobs_of_users = Jobs(database, moves, progress, clock)
    return Services(
        settings=settings,
        users=Users(database, passwords),
        sessions=Sessions(database, settings, signing_key(settings), passwords),
        runner_tokens=RunnerTokens(database),
        receiving=receiving,
        submitting=Submitting(receiving, jobs_of_users),
        jobs=jobs_of_users,
        transcripts=Transcripts(database),
        feed=Feed(database, bus, progress, clock),
        leases=leases,
        bus=bus,
        fleet=fleet,
        dispatcher=Dispatcher(leases, fleet, moves, heartbeat_seconds=settings.beat_seconds),
        health=Health(database, store),
    )
