import asyncio
import stat
import time
from pathlib import Path

import msgspec
import pytest

from projectw_shared.accounts import Tokens
from projectw_shared.errors import Unauthorized
from projectw_tui.client import Client
from projectw_tui.keyrings import Vault
from projectw_tui.session import Session, SessionCredentials, SessionStore
from projectw_tui.settings import TuiSettings

from .fake_server import EMAIL, PASSWORD, FakeServer

URL = "https://projectw.example.org"


class MemoryVault:
    """A keyring that works, until it does not."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.works = True

    def load(self, name: str) -> tuple[bool, str | None]:
        return self.works, self.kept.get(name) if self.works else None

    def save(self, name: str, secret: str) -> bool:
        if self.works:
            self.kept[name] = secret
        return self.works

    def forget(self, name: str) -> bool:
        self.kept.pop(name, None)
        return self.works


def session(access: str = "a", refresh: str = "r", seconds: float = 900) -> Session:
    return Session(EMAIL, access, refresh, time.time() + seconds)


def store(folder: Path, vault: Vault | None = None, url: str = URL) -> SessionStore:
    return SessionStore(url, folder, vault)


def test_without_a_keyring_only_the_owner_can_read_the_session(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.write(session(), anew=True)
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.file.parent.stat().st_mode) == 0o700
    assert store(tmp_path).read() == kept.read() is not None


def test_each_server_has_its_own_session(tmp_path: Path) -> None:
    store(tmp_path).write(session("one"), anew=True)
    assert store(tmp_path, url="https://other.example.org").read() is None


def test_with_a_keyring_nothing_is_on_disk(tmp_path: Path) -> None:
    vault = MemoryVault()
    kept = store(tmp_path, vault)
    kept.write(session("one"), anew=True)
    kept.write(session("two"))
    assert not kept.file.exists()
    assert msgspec.json.decode(vault.kept[URL])["access_token"] == "two"
    kept.clear()
    assert kept.read() is None
    assert not vault.kept


def test_a_session_begun_in_a_file_stays_there_when_a_keyring_appears(tmp_path: Path) -> None:
    """A desktop with a keyring and a login over SSH without one share the session."""
    store(tmp_path).write(session("over ssh"), anew=True)
    vault = MemoryVault()
    store(tmp_path, vault).write(session("renewed at the desktop"))
    kept = store(tmp_path).read()
    assert kept is not None
    assert kept.access_token == "renewed at the desktop"
    assert not vault.kept


def test_a_keyring_that_fails_gives_way_to_the_file(tmp_path: Path) -> None:
    vault = MemoryVault()
    vault.works = False
    kept = store(tmp_path, vault)
    kept.write(session(), anew=True)
    assert kept.file.exists()
    assert kept.read() is not None


def test_signing_in_anew_moves_the_session_to_the_keyring(tmp_path: Path) -> None:
    store(tmp_path).write(session("old"), anew=True)
    vault = MemoryVault()
    kept = store(tmp_path, vault)
    kept.write(session("new"), anew=True)
    assert not kept.file.exists()
    found = kept.read()
    assert found is not None
    assert found.access_token == "new"


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b'{"email": 1}', b'{"email": "\xff"}'])
def test_a_damaged_file_counts_as_signed_out(tmp_path: Path, rubbish: bytes) -> None:
    kept = store(tmp_path)
    kept.write(session(), anew=True)
    kept.file.write_bytes(rubbish)
    assert kept.read() is None


async def test_two_programs_renew_a_session_once(tmp_path: Path) -> None:
    """A refresh token works once: the second use would end the session of both."""
    exchanged: list[str] = []

    async def exchange(refresh_token: str) -> Tokens:
        exchanged.append(refresh_token)
        await asyncio.sleep(0)
        return Tokens(f"access-{len(exchanged)}", 900, f"refresh-{len(exchanged)}")

    store(tmp_path).write(session("old", "refresh-0"), anew=True)
    programs = [SessionCredentials(store(tmp_path), exchange) for _ in range(5)]
    assert [await program.bearer() for program in programs] == ["old"] * 5
    assert all(await asyncio.gather(*(program.renew("old") for program in programs)))
    assert exchanged == ["refresh-0"]
    assert {await program.bearer() for program in programs} == {"access-1"}


async def test_an_access_token_near_its_end_is_renewed_before_it_is_used(tmp_path: Path) -> None:
    async def exchange(_refresh_token: str) -> Tokens:
        return Tokens("new", 900, "r2")

    store(tmp_path).write(session("old", seconds=5), anew=True)
    assert await SessionCredentials(store(tmp_path), exchange).bearer() == "new"


async def test_a_refused_refresh_token_ends_the_session(tmp_path: Path) -> None:
    async def exchange(_refresh_token: str) -> Tokens:
        raise Unauthorized

    store(tmp_path).write(session(), anew=True)
    credentials = SessionCredentials(store(tmp_path), exchange)
    assert await credentials.bearer() == "a"
    assert not await credentials.renew("a")
    assert await credentials.bearer() is None
    assert store(tmp_path).read() is None


async def test_a_renewal_is_finished_when_its_request_is_given_up(tmp_path: Path) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def exchange(_refresh_token: str) -> Tokens:
        asked.set()
        await answer.wait()
        return Tokens("new", 900, "r2")

    store(tmp_path).write(session(), anew=True)
    credentials = SessionCredentials(store(tmp_path), exchange)
    await credentials.bearer()
    request = asyncio.ensure_future(credentials.renew("a"))
    await asked.wait()
    request.cancel()
    answer.set()
    async with asyncio.timeout(5):
        while (kept := store(tmp_path).read()) is None or kept.access_token != "new":
            await asyncio.sleep(0.01)


async def test_the_client_goes_on_when_its_access_token_has_run_out(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with Client(settings) as client:
        await client.login(EMAIL, PASSWORD)
        fake.access.clear()
        assert (await client.accounts.me()).email == EMAIL
    assert fake.refreshes == 1


async def test_logging_out_forgets_the_session_also_when_the_server_is_away(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with Client(settings) as client:
        await client.login(EMAIL, PASSWORD)
        await client.logout()
        assert not await client.is_signed_in()
    assert not fake.access
    assert not list((settings.state_path / "sessions").glob("*.json"))
