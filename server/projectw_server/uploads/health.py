"""Whether the database and the storage answer."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from projectw_server.db import Database
from projectw_server.storage.folder import FolderStore
from projectw_shared.errors import StorageFull

LIMIT_SECONDS = 3.0

_log = structlog.get_logger(__name__)


class Health:
    """Checks what the server cannot work without."""

    def __init__(
        self, database: Database, store: FolderStore, *, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._database = _Probe("database", lambda: database.rows("SELECT 1"), limit_seconds)
        self._storage = _Probe("storage", store.check, limit_seconds)

    async def check(self) -> dict[str, str | None]:
        """Return for ``database`` and ``storage`` what is wrong, as a sentence, or None.

        The sentences are for anyone: what the machine said is in the log.
        """
        database, storage = await asyncio.gather(self._database.ask(), self._storage.ask())
        return {"database": database, "storage": storage}


class _Probe:
    """One question, asked once at a time: a disk that hangs would otherwise gather them."""

    def __init__(self, name: str, question: Callable[[], Awaitable[object]], limit_seconds: float) -> None:
        self._name = name
        self._question = question
        self._limit = limit_seconds
        self._asking: asyncio.Task[str | None] | None = None

    async def ask(self) -> str | None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        # wait, not wait_for: the question is not cancelled, it may be holding the connection's lock.
        done, _ = await asyncio.wait([self._asking], timeout=self._limit)
        if not done:
            return f"The {self._name} has not answered for {self._limit:g} s"
        return self._asking.result()

    async def _answer(self) -> str | None:
        try:
            await self._question()
        except StorageFull as error:
            return error.detail
        except Exception as error:  # noqa: BLE001  whatever a driver raises is the answer
            _log.warning("not ready", part=self._name, error=str(error))
            return f"The {self._name} does not work; the server's log says more"
        return None
