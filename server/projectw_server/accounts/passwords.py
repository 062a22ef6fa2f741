"""Passwords: Argon2id, computed beside the event loop and never more of it at once than the machine can bear."""

import asyncio
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from projectw_shared.errors import Invalid, Unavailable

T = TypeVar("T")

MIN_CHARACTERS = 8
MAX_BYTES = 1024

# OWASP's parameters for Argon2id: 19 MiB, two passes, one lane (Password Storage Cheat Sheet).
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1

WAITING_PER_WORKER = 32
"""Passwords that may wait for one worker: at about 25 ms each, nobody waits longer than a second."""

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$NamBKvGt0gPryXMqnayu4A$ox1Xl9HHPzRcsWA2P2nFpKGtVHWpNSHmuID3wc5J3oA"
"""A hash that is checked when there is no account, so that the answer takes as long as with one."""


class Passwords:
    """Hashes and checks passwords in threads; argon2 lets go of the interpreter's lock meanwhile."""

    def __init__(self, *, workers: int | None = None, waiting: int | None = None) -> None:
        workers = workers or len(os.sched_getaffinity(0))
        waiting = WAITING_PER_WORKER * workers if waiting is None else waiting
        self._hasher = PasswordHasher(
            time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID
        )
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        self._room = BoundedSemaphore(workers + waiting)

    async def hash(self, password: str) -> str:
        """Return the hash to store; Invalid when the password is too short or too long."""
        secret = _canonical(password)
        if len(password) < MIN_CHARACTERS or len(secret) > MAX_BYTES:
            raise Invalid(
                f"A password has at least {MIN_CHARACTERS} characters and at most {MAX_BYTES} bytes in UTF-8"
            )
        return await self._beside(lambda: self._hasher.hash(secret))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether ``password`` belongs to the hash ``stored``; None stands for an account that is not there.

        Raises Unavailable when too many passwords wait already.
        """
        secret = _canonical(password)
        if len(secret) > MAX_BYTES:  # no account has such a password, so this tells nothing of any
            return False
        is_right = await self._beside(lambda: self._matches(secret, stored or NOBODY))
        return is_right and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether ``stored`` was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end, and drop what still waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, secret: bytes, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, secret)
        except VerifyMismatchError:
            return False

    async def _beside(self, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise Unavailable("Too many people are signing in at this moment; try again", retry_after=1)
        future: Future[T] = self._pool.submit(work)
        # Not in a finally: a cancelled caller leaves, and its password still occupies a worker.
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)


def _canonical(password: str) -> bytes:
    """Return the bytes to hash: keyboards compose the same letter in two ways (RFC 8265, 4.2.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
