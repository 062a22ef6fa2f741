"""Passwords: Argon2id, computed beside the event loop and never more of it at once than the machine can bear."""

import unicodedata
from collections.abc import Sequence

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from projectw_server.accounts.threads import Threads, spare_cores
from projectw_shared.errors import Invalid

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
        workers = workers or spare_cores()
        waiting = WAITING_PER_WORKER * workers if waiting is None else waiting
        self._hasher = PasswordHasher(
            time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID
        )
        self._threads = Threads("passwords", workers=workers, waiting=waiting, yielding=True)

    @property
    def is_full(self) -> bool:
        """Whether a further password would be refused just now."""
        return self._threads.is_full

    async def hash(self, password: str) -> str:
        """Return the hash to store; Invalid when the password is too short or too long."""
        check_length(password)
        secret = _canonical(password)
        return await self._threads.run(lambda: self._hasher.hash(secret))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether ``password`` belongs to the hash ``stored``; None stands for an account that is not there.

        Raises Unavailable when too many passwords wait already.
        """
        return await self.verify_any(password, [stored]) is not None

    async def verify_any(self, password: str, stored: Sequence[str | None]) -> int | None:
        """Return which of ``stored`` is the first that ``password`` belongs to; like ``verify``, and in one turn."""
        secret = _canonical(password)
        if len(secret) > MAX_BYTES:  # no account has such a password, so this tells nothing of any
            return None
        return await self._threads.run(lambda: self._first_match(secret, stored))

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether ``stored`` was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end, and drop what still waits."""
        self._threads.close()

    def _first_match(self, secret: bytes, stored: Sequence[str | None]) -> int | None:
        for number, each in enumerate(stored):
            if self._matches(secret, each or NOBODY) and each is not None:
                return number
        return None

    def _matches(self, secret: bytes, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, secret)
        except VerifyMismatchError:
            return False


def check_length(password: str) -> None:
    """Raise Invalid when ``password`` is too short or too long to be one."""
    if len(password) < MIN_CHARACTERS or len(_canonical(password)) > MAX_BYTES:
        raise Invalid(
            f"A password has at least {MIN_CHARACTERS} characters and at most {MAX_BYTES} bytes in UTF-8"
        )


def _canonical(password: str) -> bytes:
    """Return the bytes to hash: keyboards compose the same letter in two ways (RFC 8265, 4.2.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
