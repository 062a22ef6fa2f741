"""What the doors find behind them: the services of the app that serves the request."""

from dataclasses import dataclass
from typing import cast

from quart import current_app

from projectw_server.accounts.api_tokens import ApiTokens
from projectw_server.accounts.audit import Reading
from projectw_server.accounts.chain import Audit
from projectw_server.accounts.changes import Changes
from projectw_server.accounts.confirming import Confirming
from projectw_server.accounts.mail.room import MailRoom
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.runner_tokens import RunnerTokens
from projectw_server.accounts.sessions import Sessions
from projectw_server.accounts.users import Users
from projectw_server.api.admission import Admission
from projectw_server.api.bodies import LargeBodies
from projectw_server.api.lifetime import Lifetime
from projectw_server.dispatch.dispatcher import Dispatcher
from projectw_server.dispatch.estimating import Estimating
from projectw_server.dispatch.fleet import Fleet
from projectw_server.dispatch.roster import Roster
from projectw_server.dispatch.sweeper import Sweeper
from projectw_server.events.bus import Bus
from projectw_server.events.signals import Relay
from projectw_server.jobs.administration import AllJobs
from projectw_server.jobs.disclosures import Disclosures
from projectw_server.jobs.echo import Echo
from projectw_server.jobs.feed import Feed
from projectw_server.jobs.leases import Leases
from projectw_server.jobs.people import People
from projectw_server.jobs.service import Jobs
from projectw_server.jobs.transcripts import Transcripts
from projectw_server.metrics import Metrics
from projectw_server.metrics.census import CensusTaker
from projectw_server.metrics.lag import Lag
from projectw_server.settings import ServerSettings
from projectw_server.uploads.erasing import Erasing
from projectw_server.uploads.health import Health
from projectw_server.uploads.receiving import Receiving
from projectw_server.uploads.submitting import Submitting

EXTENSION = "projectw"


@dataclass(frozen=True)
class Services:
    """Everything that a door may call."""

    settings: ServerSettings
    passwords: Passwords
    users: Users
    people: People
    changes: Changes
    confirming: Confirming
    mail_room: MailRoom
    sessions: Sessions
    api_tokens: ApiTokens
    audit: Audit
    reading: Reading
    runner_tokens: RunnerTokens
    receiving: Receiving
    submitting: Submitting
    erasing: Erasing
    jobs: Jobs
    all_jobs: AllJobs
    disclosures: Disclosures
    transcripts: Transcripts
    feed: Feed
    leases: Leases
    bus: Bus
    fleet: Fleet
    roster: Roster
    estimating: Estimating
    dispatcher: Dispatcher
    sweeper: Sweeper
    relay: Relay
    echo: Echo
    health: Health
    census: CensusTaker
    metrics: Metrics
    lag: Lag
    admission: Admission
    lifetime: Lifetime
    large_bodies: LargeBodies

    async def is_good(self, person: Person) -> bool:
        """Tell whether the sign-in or the token that ``person`` came with still stands, for what takes its time."""
        if person.token_id is not None:
            return await self.api_tokens.is_good(person.token_id)
        return person.session_id is not None and await self.sessions.is_open(person.session_id, person.id)

    def stop(self) -> None:
        """Let every request that waits end: the server stops."""
        self.lifetime.leave()
        self.dispatcher.close()
        self.bus.close()


def services() -> Services:
    """Return the services of the app that serves the present request."""
    return cast("Services", current_app.extensions[EXTENSION])
