"""The system's keyring, as far as one can rely on it: missing, locked or asking, it never holds anything up."""

import importlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

SERVICE = "projectw"

TIME_LIMIT = 3.0
"""Seconds that a keyring may take; one that asks the person on another screen takes longer."""


class Vault(Protocol):
    """A place for secrets, by name. Each method tells whether the place could be used at all."""

    def load(self, name: str) -> tuple[bool, str | None]:
        """Return (usable, secret or None)."""

    def save(self, name: str, secret: str) -> bool:
        """Keep ``secret``; tell whether it is kept."""

    def forget(self, name: str) -> bool:
        """Remove the secret, if there is one."""


class NoVault:
    """Where there is no keyring."""

    def load(self, name: str) -> tuple[bool, str | None]:
        """Return (False, None)."""
        return False, None

    def save(self, name: str, secret: str) -> bool:
        """Return False."""
        return False

    def forget(self, name: str) -> bool:
        """Return False."""
        return False


class SystemKeyring:
    """The keyring that the ``keyring`` package finds, if it is one that protects what it holds.

    Each call runs in a daemon thread, since a backend may wait for a prompt for ever. After one failure the
    keyring is not asked again in this process.
    """

    def __init__(self, *, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._usable = True

    def load(self, name: str) -> tuple[bool, str | None]:
        """Return (usable, secret or None)."""
        secret = self._ask(lambda backend: backend.get_password(SERVICE, name))
        return self._usable, secret if isinstance(secret, str) else None

    def save(self, name: str, secret: str) -> bool:
        """Keep ``secret``; a backend that does not give it back has not kept it."""

        def store(backend: Any) -> bool:
            backend.set_password(SERVICE, name, secret)
            return bool(backend.get_password(SERVICE, name) == secret)

        return self._ask(store) is True

    def forget(self, name: str) -> bool:
        """Remove the secret, if there is one."""

        def remove(backend: Any) -> None:
            if backend.get_password(SERVICE, name) is not None:
                backend.delete_password(SERVICE, name)

        self._ask(remove)
        return self._usable

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        if not self._usable:
            return None
        answers: queue.SimpleQueue[tuple[bool, T | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                answers.put((True, question(_backend())))
            except Exception:  # noqa: BLE001  backends raise whatever their platform raises
                answers.put((False, None))

        threading.Thread(target=run, name="keyring", daemon=True).start()
        try:
            self._usable, answer = answers.get(timeout=self._time_limit)
        except queue.Empty:
            self._usable, answer = False, None
        return answer


def _backend() -> Any:
    """Return the keyring backend, or raise: priority 1 is where its authors begin to recommend one."""
    keyring = importlib.import_module("keyring")
    backend = keyring.get_keyring()
    if backend.priority < 1:
        raise LookupError("no recommended keyring backend")
    return backend
