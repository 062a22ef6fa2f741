"""Putting the server together: the only file that knows every other."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from types import ModuleType
from typing import Any

from quart import Quart

from projectw_server.accounts.api_tokens import ApiTokens
from projectw_server.accounts.audit import Reading
from projectw_server.accounts.chain import CUT_EVERY, HEAD_FILE, SEALED_EVERY, Audit
from projectw_server.accounts.changes import Changes
from projectw_server.accounts.confirming import PENDING_EVERY, Confirming
from projectw_server.accounts.domains import check_domains
from projectw_server.accounts.keys import signing_keys
from projectw_server.accounts.mail.drafting import Drafting
from projectw_server.accounts.mail.due import Due
from projectw_server.accounts.mail.letters import Letters
from projectw_server.accounts.mail.room import MailRoom
from projectw_server.accounts.mail.transport import transport_of
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.runner_tokens import RunnerTokens
from projectw_server.accounts.sessions import Sessions
from projectw_server.accounts.strength import Strength
from projectw_server.accounts.users import Users
from projectw_server.api import (
    accounts,
    admin,
    auth,
    events,
    jobs,
    operations,
    runners,
    submitting,
)
from projectw_server.api.admission import Admission
from projectw_server.api.asgi import BoundedConnection, BoundedRequest
from projectw_server.api.bodies import LargeBodies
from projectw_server.api.context import EXTENSION, Services
from projectw_server.api.edge import surround
from projectw_server.api.lifetime import Lifetime
from projectw_server.clock import Clock
from projectw_server.db import Database
from projectw_server.db.failures import translated
from projectw_server.dispatch.dispatcher import Dispatcher
from projectw_server.dispatch.estimating import Estimating
from projectw_server.dispatch.fleet import Fleet
from projectw_server.dispatch.office import Office
from projectw_server.dispatch.presence import WRITTEN_EVERY, Presence
from projectw_server.dispatch.roster import FORECAST_EVERY, REFRESHED_EVERY, Roster
from projectw_server.dispatch.sweeper import CHECKPOINT_EVERY, DELETIONS_EVERY, LEASES_EVERY, Sweeper, every
from projectw_server.events.bus import Bus
from projectw_server.events.relay import PostgresRelay
from projectw_server.events.signals import Changed, Missed, NoRelay, Progressed, Signals
from projectw_server.jobs.administration import AllJobs
from projectw_server.jobs.disclosures import Disclosures
from projectw_server.jobs.echo import Echo
from projectw_server.jobs.feed import Feed
from projectw_server.jobs.leases import Leases
from projectw_server.jobs.moves import Moves
from projectw_server.jobs.outlook import Outlook
from projectw_server.jobs.people import People
from projectw_server.jobs.progress import Progress
from projectw_server.jobs.quotas import Quotas
from projectw_server.jobs.service import Jobs
from projectw_server.jobs.transcripts import Transcripts
from projectw_server.metrics import Metrics, journal
from projectw_server.metrics.census import CensusTaker
from projectw_server.metrics.lag import Lag
from projectw_server.settings import ServerSettings
from projectw_server.storage.folder import FolderStore
from projectw_server.uploads.erasing import CONTINUED_EVERY, Erasing
from projectw_server.uploads.health import Health
from projectw_server.uploads.receiving import Receiving
from projectw_server.uploads.submitting import Submitting
from projectw_server.uploads.sweeping import Sweeping
from projectw_shared.errors import ProjectWError

DOORS: tuple[ModuleType, ...] = (auth, accounts, admin, submitting, jobs, events, runners, operations)


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
    store = store or FolderStore(settings.recordings)
    services = assemble(settings, database, store)
    app.extensions[EXTENSION] = services
    for module in DOORS:
        app.register_blueprint(
            module.doors.blueprint(
                tight_per_minute=settings.login_attempts_per_minute, closed=operations.closed(settings)
            )
        )
    surround(app, translated, services)

    @app.while_serving
    async def work() -> AsyncGenerator[None, None]:
        if not database.is_shared:
            await store.clear_incoming()
        await services.roster.refresh()
        tasks = [
            asyncio.create_task(work, name=name) for name, work in duties(services, database, store).items()
        ]
        services.lifetime.begin()
        yield
        services.stop()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with suppress(ProjectWError):
            await services.audit.seal()
            await services.sweeper.resign()

    return app


def duties(
    services: Services, database: Database, store: FolderStore
) -> dict[str, Coroutine[Any, Any, None]]:
    """Return what the server does beside answering requests, by name."""
    sweeper, feed = services.sweeper, services.feed
    found = {
        "lag": services.lag.watch(),
        "match": services.dispatcher.match(),
        "sweep": every(LEASES_EVERY, sweeper.sweep, "leases"),
        "deletions": every(DELETIONS_EVERY, sweeper.if_in_office(feed.forget_old_deletions), "deletions"),
        "audit": every(SEALED_EVERY, sweeper.if_in_office(services.audit.seal), "audit"),
        "old audit": every(CUT_EVERY, sweeper.if_in_office(services.audit.cut), "old audit"),
        "erasing": every(CONTINUED_EVERY, sweeper.if_in_office(services.erasing.go_on), "erasing"),
        "disabled": every(
            CONTINUED_EVERY, sweeper.if_in_office(services.jobs.cancel_of_disabled), "disabled"
        ),
        "mail": services.mail_room.run(),
        "pending": every(PENDING_EVERY, sweeper.if_in_office(services.confirming.forget_old), "pending"),
        "presence": every(WRITTEN_EVERY, services.fleet.write_presence, "presence"),
        "echo": services.echo.run(),
        "roster": every(REFRESHED_EVERY, services.roster.refresh, "roster"),
        "forecast": every(FORECAST_EVERY, services.roster.forecast, "forecast"),
        "orphans": Sweeping(store, services.jobs.known, clears_incoming=database.is_shared).run(),
    }
    if isinstance(services.relay, PostgresRelay):
        found |= {
            "relay": services.relay.run(),
            "feed": feed.watch(),
        }
    else:
        found |= {"checkpoint": every(CHECKPOINT_EVERY, database.checkpoint, "checkpoint")}
    return found


def assemble(settings: ServerSettings, database: Database, store: FolderStore) -> Services:
    """Return the services over ``database`` and ``store``, wired to one another."""
    check_domains(settings)
    clock, bus, outlook = Clock(), Bus(), Outlook(Progress())
    relay = PostgresRelay(database.connect) if database.connect else NoRelay()
    signals = Signals(relay)
    metrics = Metrics()
    lag = Lag(metrics.note_lag)
    database.on_timed.append(metrics.note_database)
    moves = Moves(clock=clock, bus=bus, signals=signals, outlook=outlook, max_attempts=settings.max_attempts)
    moves.on_moved += [metrics.moves.note, journal.write]
    leases = Leases(database, moves, clock, lease_seconds=settings.lease_seconds)
    presence = Presence(settings.beat_seconds)
    roster = Roster(database, presence, outlook, clock)
    fleet = Fleet(
        database,
        leases,
        presence,
        signals,
        clock,
        heartbeat_seconds=settings.beat_seconds,
        lease_seconds=settings.lease_seconds,
        max_failures_in_row=settings.max_failures_in_row,
    )
    passwords, strength = Passwords(), Strength(settings.min_password_strength)
    receiving = Receiving(store, settings)
    quotas = Quotas(settings)
    jobs_of_users = Jobs(database, moves, outlook, clock, quotas)
    transcripts = Transcripts(database)
    feed = Feed(database, bus, outlook, clock)
    echo = Echo(database, moves, bus, clock)
    roster.on_change.append(echo.show_waiting)
    if isinstance(relay, PostgresRelay):
        relay.on_signal(signals.tell_here)
        signals.on(Changed, feed.hear)
        signals.on(Progressed, echo.hear)
        signals.on(Missed, feed.look_soon)
    return Services(
        settings=settings,
        passwords=passwords,
        users=Users(database, passwords),
        people=People(database, quotas),
        changes=Changes(database, passwords, strength),
        confirming=Confirming(database, settings, passwords, strength),
        mail_room=mail_room(settings, database),
        api_tokens=ApiTokens(database, now=clock.now),
        audit=Audit(database, settings.home / HEAD_FILE, keep_days=settings.keep_audit_days),
        reading=Reading(database),
        sessions=Sessions(database, settings, signing_keys(settings), passwords, now=clock.now),
        runner_tokens=RunnerTokens(database),
        receiving=receiving,
        submitting=Submitting(receiving, jobs_of_users),
        jobs=jobs_of_users,
        transcripts=transcripts,
        all_jobs=AllJobs(database),
        disclosures=Disclosures(database, transcripts, allowed=settings.admins_may_read),
        erasing=Erasing(database, jobs_of_users, receiving),
        feed=feed,
        leases=leases,
        bus=bus,
        fleet=fleet,
        roster=roster,
        estimating=Estimating(database, roster, outlook),
        relay=relay,
        echo=echo,
        sweeper=Sweeper(leases, Office(database, "sweeper", clock)),
        dispatcher=Dispatcher(leases, fleet, roster, signals, heartbeat_seconds=settings.beat_seconds),
        health=Health(database, store),
        census=CensusTaker(database, jobs_of_users, fleet, clock),
        metrics=metrics,
        lag=lag,
        lifetime=Lifetime(),
        large_bodies=LargeBodies(),
        admission=Admission(
            most=settings.max_requests_in_flight,
            most_waiting=settings.max_requests_waiting,
            longest_lag=settings.max_lag_seconds,
            lag=lag.now,
        ),
    )


def mail_room(settings: ServerSettings, database: Database) -> MailRoom:
    """Return the room that sends mails as ``settings`` say. Raises ConfigError."""
    transport = transport_of(settings)
    letters = None if transport is None else Letters(transport.sender, settings.name, settings.public_url)
    return MailRoom(Due(database), Drafting(database), letters, transport)
