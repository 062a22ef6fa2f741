"""The session of a person with one server: kept between programs, renewed by one of them at a time."""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from projectw_shared.accounts import Tokens
from projectw_shared.errors import Unauthorized
from projectw_shared.secrecy import Discreet
from projectw_tui.keyrings import NoVault, Vault

EARLY = 30.0
"""Seconds before its end from which an access token is renewed: a streamed upload cannot be sent twice."""

LOCK_PATIENCE = 40.0
"""Seconds to wait for another program that renews the same session; longer than its request may take."""


class Session(Discreet, frozen=True):
    """A signed-in person. ``expires_at`` is in seconds of the epoch."""

    email: str
    access_token: str
    refresh_token: str
    expires_at: float

    @classmethod
    def begin(cls, email: str, tokens: Tokens) -> "Session":
        """Return the session that ``tokens`` open, from now on."""
        return cls(email, tokens.access_token, tokens.refresh_token, time.time() + tokens.expires_in)


class SessionStore:
    """Keeps the session with one server: in the keyring, else in a file that only its owner can read.

    A session stays where its sign-in put it, so that a desktop with a keyring and a login over SSH without
    one do not take it from each other.
    """

    def __init__(self, server_url: str, folder: Path, vault: Vault | None = None) -> None:
        self._name = server_url
        self._vault = vault or NoVault()
        digest = hashlib.sha256(server_url.encode()).hexdigest()[:16]
        self._folder = folder / "sessions"
        self.file = self._folder / f"{digest}.json"
        self._lock_file = self._folder / f"{digest}.lock"

    def read(self) -> Session | None:
        """Return the kept session, or None; what cannot be read counts as none."""
        try:
            kept: bytes | str | None = self.file.read_bytes()
        except OSError:
            _, kept = self._vault.load(self._name)
        if not kept:
            return None
        try:
            return msgspec.json.decode(kept, type=Session)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def write(self, session: Session, *, anew: bool = False) -> None:
        """Keep ``session``; ``anew`` chooses the place again, as a sign-in does. Raises OSError."""
        document = msgspec.json.encode(session)
        if (anew or not self.file.exists()) and self._vault.save(self._name, document.decode()):
            self.file.unlink(missing_ok=True)
            return
        self._write_file(document)

    def clear(self) -> None:
        """Forget the session."""
        self.file.unlink(missing_ok=True)
        self._vault.forget(self._name)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the session against other programs of the same person. Raises TimeoutError, OSError."""
        self._make_folder()
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await _lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _write_file(self, document: bytes) -> None:
        self._make_folder()
        beside = self.file.with_suffix(f".{os.getpid()}.new")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(document)
            file.flush()
            os.fsync(descriptor)
        beside.replace(self.file)


async def _lock(descriptor: int) -> None:
    # Tried again and again rather than waited for in a thread: a thread that is left behind by a
    # cancelled request would take the lock later and keep it.
    async with asyncio.timeout(LOCK_PATIENCE):
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                await asyncio.sleep(0.05)


class SessionCredentials:
    """Gives each request its access token, and renews it with the refresh token, which works once.

    ``exchange`` asks the server for new tokens. Two programs of the same person share a session: whoever
    comes second to the lock finds the tokens that the first one has brought.
    """

    def __init__(self, store: SessionStore, exchange: Callable[[str], Awaitable[Tokens]]) -> None:
        self._store = store
        self._exchange = exchange
        self._session: Session | None = None
        self._read = False
        self._renewing = asyncio.Lock()

    async def current(self) -> Session | None:
        """Return the session, read from the store the first time."""
        if not self._read:
            self._session = await asyncio.to_thread(self._store.read)
            self._read = True
        return self._session

    async def begin(self, session: Session) -> None:
        """Use ``session`` from now on, and keep it."""
        self._session, self._read = session, True
        async with self._store.locked():
            await asyncio.to_thread(self._store.write, session, anew=True)

    async def end(self) -> None:
        """Forget the session, here and in the store."""
        self._session, self._read = None, True
        await asyncio.to_thread(self._store.clear)

    async def bearer(self) -> str | None:
        """Return an access token that lasts a while yet, or None when nobody is signed in."""
        session = await self.current()
        if session is not None and session.expires_at - time.time() < EARLY:
            await self.renew(session.access_token)
            session = self._session
        return session.access_token if session else None

    async def renew(self, refused: str) -> bool:
        """Replace the access token ``refused``; False when the session is over and one must sign in."""
        async with self._renewing:
            if self._session is None:
                return False
            if self._session.access_token != refused:
                return True
            # Finished even when the request that needs it is cancelled: the refresh token is used up.
            return await asyncio.shield(asyncio.ensure_future(self._renew(refused)))

    async def _renew(self, refused: str) -> bool:
        async with self._store.locked():
            kept = await asyncio.to_thread(self._store.read)
            if kept is None:
                self._session = None
                return False
            if kept.access_token != refused:
                self._session = kept
                return True
            try:
                tokens = await self._exchange(kept.refresh_token)
            except Unauthorized:
                self._session = None
                await asyncio.to_thread(self._store.clear)
                return False
            self._session = Session.begin(kept.email, tokens)
            await asyncio.to_thread(self._store.write, self._session)
            return True
