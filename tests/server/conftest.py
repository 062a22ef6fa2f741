"""A whole server on a fresh database of either kind, and people and runners who may call it.

A database is migrated once for the whole run: SQLite's file is then copied for each test, PostgreSQL's tables emptied.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from quart import Quart
from quart.typing import TestClientProtocol

from deploy.postgres import Postgres
from projectw_server.accounts.principals import Person
from projectw_server.api.context import EXTENSION, Services
from projectw_server.app import create_app
from projectw_server.db import Database, open_database
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import Tokens
from projectw_shared.messages import CreatedRunner

from .core import Core
from .live import Live, serving

PASSWORD = "correct horse battery staple"

EMPTY = """
    TRUNCATE users, runners, sessions, jobs, segments, deliveries, deletions, feeds, shares, virtual_times,
    speeds, offices, facts, api_tokens, mail_tokens, mails, audit, disclosures, usage
"""


@dataclass(frozen=True)
class SignedIn:
    """A person with tokens, as the headers that a request needs."""

    person: Person
    tokens: Tokens

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens.access_token}"}


@dataclass(frozen=True)
class KnownRunner:
    """A runner with its token."""

    created: CreatedRunner

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.created.token}"}


MakeUser = Callable[..., Awaitable[SignedIn]]
MakeRunner = Callable[..., Awaitable[KnownRunner]]


AS_COSTLY_AS_IT_IS = ("test_passwords", "test_login_flood", "test_sessions", "test_meanwhile")
"""Where what a hash costs is the point."""


@pytest.fixture(autouse=True)
def cheap_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hashing cost a fiftieth: thousands of tests have people who sign in."""
    if request.module.__name__.rpartition(".")[2] not in AS_COSTLY_AS_IT_IS:
        monkeypatch.setattr("projectw_server.accounts.passwords.MEMORY_KIB", 1024)
        monkeypatch.setattr("projectw_server.accounts.passwords.PASSES", 1)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with all its tables."""
    file = tmp_path_factory.mktemp("database") / "empty.sqlite3"

    async def migrate() -> None:
        async with open_database(f"sqlite://{file}") as database:
            await database.checkpoint()

    asyncio.run(migrate())
    return file


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for this process alone."""
    server = Postgres()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def shared_url(postgres: Postgres) -> str:
    """The URL of a database on it that has all its tables."""
    url = postgres.create("tests")

    async def migrate() -> None:
        async with open_database(url):
            pass

    asyncio.run(migrate())
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database that the test runs on; ``@pytest.mark.parametrize("kind", …)`` leaves one out."""
    return str(request.param)


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> ServerSettings:
    """Settings for a server of its own; ``msgspec.structs.replace`` changes some."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    url = None
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated"), home / "projectw.sqlite3")
    else:
        url = str(request.getfixturevalue("shared_url"))
        request.getfixturevalue("postgres").say(EMPTY, database="tests")
    return ServerSettings(data_dir=home, port=0, min_free_bytes=0, database_url=url)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file, for the operator's commands."""
    monkeypatch.setattr("projectw_server.logs.set_up", lambda *_: None)
    file = tmp_path / "config.yaml"
    file.write_text(f"server:\n  data_dir: {tmp_path / 'home'}\n  port: 0\n  min_free_bytes: 0\n")
    return file


@pytest.fixture
async def database(settings: ServerSettings) -> AsyncIterator[Database]:
    async with open_database(settings.database) as database:
        yield database


@pytest.fixture
async def app(settings: ServerSettings, database: Database) -> AsyncIterator[Quart]:
    """The application, with its background tasks running."""
    app = create_app(settings, database)
    async with app.test_app():
        yield app


@pytest.fixture
def services(app: Quart) -> Services:
    found: Services = app.extensions[EXTENSION]
    return found


@pytest.fixture
def client(app: Quart) -> TestClientProtocol:
    return app.test_client()


@pytest.fixture
def make_user(services: Services) -> MakeUser:
    """Make a signed-in user: ``await make_user("ada@example.org", is_admin=True)``."""

    async def make(email: str = "ada@example.org", *, is_admin: bool = False) -> SignedIn:
        person = await services.users.add(email, PASSWORD, is_admin=is_admin)
        return SignedIn(person, await services.sessions.login(email, PASSWORD))

    return make


@pytest.fixture
async def user(make_user: MakeUser) -> SignedIn:
    return await make_user()


@pytest.fixture
async def admin(make_user: MakeUser) -> SignedIn:
    return await make_user("root@example.org", is_admin=True)


@pytest.fixture
def make_runner(services: Services) -> MakeRunner:
    async def make(name: str = "gpu-1") -> KnownRunner:
        return KnownRunner(await services.runner_tokens.create(name))

    return make


@pytest.fixture
async def runner(make_runner: MakeRunner) -> KnownRunner:
    return await make_runner()


@pytest.fixture
def core(database: Database) -> Core:
    """Return the core of a server, without doors."""
    return Core(database)


@pytest.fixture
async def live(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    """Serve on a real socket."""
    async with serving(settings, database) as live:
        yield live
