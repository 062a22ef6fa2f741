"""What the doors find behind them: the services of the app that serves the request."""

from dataclasses import dataclass
from typing import cast

from quart import current_app

from projectw_server.accounts.runner_tokens import RunnerTokens
from projectw_server.accounts.sessions import Sessions
from projectw_server.accounts.users import Users
from projectw_server.api.admission import Admission
from projectw_server.api.lifetime import Lifetime
from projectw_server.dispatch.dispatcher import Dispatcher
from projectw_server.dispatch.estimating import Estimating
from projectw_server.dispatch.fleet import Fleet
from projectw_server.dispatch.roster import Roster
from projectw_server.dispatch.sweeper import Sweeper
from projectw_server.events.bus import Bus
from projectw_server.events.signals import Relay
from projectw_server.jobs.echo import Echo
from projectw_server.jobs.feed import Feed
from projectw_server.jobs.leases import Leases
from projectw_server.jobs.service import Jobs
from projectw_server.jobs.transcripts import Transcripts
from projectw_server.metrics import Metrics
from projectw_server.metrics.census import CensusTaker
from projectw_server.metrics.lag import Lag
from projectw_server.settings import ServerSettings
from projectw_server.uploads.health import Health
from projectw_server.uploads.receiving import Receiving
from projectw_server.uploads.submitting import Submitting

EXTENSION = "projectw"


@dataclass(frozen=True)
class Services:
    """Everything that a door may call."""

    settings: ServerSettings
    users: Users
    sessions: Sessions
    runner_tokens: RunnerTokens
    receiving: Receiving
    submitting: Submitting
    jobs: Jobs
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

    def stop(self) -> None:
        """Let every request that waits end: the server stops."""
        self.lifetime.leave()
        self.dispatcher.close()
        self.bus.close()


def services() -> Services:
    """Return the services of the app that serves the present request."""
    return cast("Services", current_app.extensions[EXTENSION])
