"""The keys that sign tokens: one that is in use, and former ones whose tokens are still good for a while.

They stand in a file, one a line, the one in use first; a former one has the time of its end behind it::

    NtG4…9Q
    b7xW…0A until 2026-12-25T09:00:00Z

A key that is guessed or found lets anybody sign in as anyone, so keys are changed from time to time, and nobody is
signed out by that. The file is read again when it has changed, by a server that runs.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from projectw_server.settings import ServerSettings
from projectw_server.storage.files import stamp, sync_folder
from projectw_shared.config import ConfigError, Mistake, read_secret

KEY_FILE = "signing.key"
MIN_KEY_BYTES = 32
MIN_DIFFERENT_BYTES = 8
SETTING = "server.signing_key"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Key:
    """A key, and when (seconds since the epoch) it ends; the one in use does not."""

    secret: bytes
    until: float | None = None

    @property
    def id(self) -> str:
        """Its name in the tokens that it signs (``kid``), which tells nothing of it."""
        return hashlib.sha256(b"key id:" + self.secret).hexdigest()[:16]


class Keys:
    """The keys in force, read again as the file changes."""

    def __init__(self, keys: list[Key], file: Path | None = None) -> None:
        self._keys = keys
        self._file = file
        self._mark = None if file is None else stamp(file)

    @property
    def current(self) -> Key:
        """The key that signs."""
        self._look()
        return self._keys[0]

    def find(self, id: str | None, now: float) -> list[Key]:
        """Return the keys that a token may have been signed with which names ``id``; without a name, all of them."""
        self._look()
        return [
            key
            for key in self._keys
            if (id is None or key.id == id) and (key.until is None or now < key.until)
        ]

    def _look(self) -> None:
        if self._file is None or (mark := stamp(self._file)) == self._mark:
            return
        self._mark = mark
        try:
            self._keys = _read(self._file)
        except ConfigError as error:
            # Whoever edits it by hand must not sign everybody out by a slip.
            _log.error(
                "the signing keys were changed, and cannot be used; the ones before stay", reason=str(error)
            )
        else:
            _log.info("signing keys read again", key=self._keys[0].id, former=len(self._keys) - 1)


def signing_keys(settings: ServerSettings) -> Keys:
    """Return the keys: those that are set, else those in the data directory, made at the first call.

    Raises ConfigError when one is too weak or they cannot be read.
    """
    if settings.signing_key is not None:
        secret = read_secret(settings.signing_key, settings.signing_key_file, name=SETTING)
        assert secret is not None, "it is set"
        return Keys([Key(_checked(secret))])
    file = key_file(settings)
    if settings.signing_key_file is None and not file.exists():
        _write(file, f"{new_secret()}\n", replaces=False)
    return Keys(_read(file), file)


def signing_key(settings: ServerSettings) -> bytes:
    """Return the key that signs; see ``signing_keys``."""
    return signing_keys(settings).current.secret


def key_file(settings: ServerSettings) -> Path:
    """Return the file of the keys, if they are in one."""
    return settings.signing_key_file or settings.home / KEY_FILE


def rotate(settings: ServerSettings, *, now: float, at_once: bool = False) -> float | None:
    """Make a new key, and return when the one before it ends: when the last token that it has signed runs out.

    With ``at_once`` it ends now, and everybody has to sign in anew. Raises ConfigError when the keys are not in a file
    that can be written.
    """
    if settings.signing_key is not None:
        raise ConfigError([Mistake(SETTING, None, _NOT_IN_FILE)])
    signing_keys(settings)  # so that there is one, and a good one
    file = key_file(settings)
    until = None if at_once else now + settings.session_days * 86_400
    lines = [new_secret()]
    if until is not None:
        for key in _read(file):
            ends = until if key.until is None else key.until
            if ends > now:
                shown = datetime.fromtimestamp(ends, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                lines.append(f"{key.secret.decode()} until {shown}")
    try:
        _write(file, "".join(f"{line}\n" for line in lines), replaces=True)
    except OSError as error:
        raise ConfigError(
            [
                Mistake(
                    f"{SETTING}_file",
                    None,
                    f"{file} cannot be written: {error.strerror}; rotate it where it comes from",
                )
            ]
        ) from error
    return until


def new_secret() -> str:
    """Return a new key, by chance."""
    return secrets.token_urlsafe(48)


def _read(file: Path) -> list[Key]:
    text = read_secret(None, file, name=SETTING)
    assert text is not None, "a file was given"
    keys = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        secret, _, ends = line.partition(" until ")
        keys.append(Key(_checked(secret), _ends(ends) if ends else None))
    if keys[0].until is not None or any(key.until is None for key in keys[1:]):
        raise ConfigError([Mistake(f"{SETTING}_file", None, _WRONG_FORM)])
    return keys


def _ends(text: str) -> float:
    try:
        ends = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigError([Mistake(f"{SETTING}_file", None, _WRONG_FORM)]) from error
    return ends.timestamp() if ends.tzinfo else ends.replace(tzinfo=UTC).timestamp()


def _checked(secret: str) -> bytes:
    key = secret.encode()
    if len(key) < MIN_KEY_BYTES or len(set(key)) < MIN_DIFFERENT_BYTES:
        raise ConfigError([Mistake(SETTING, None, _WEAK)])
    return key


_WEAK = (
    f"is too weak: whoever guesses it can sign in as anyone; it has at least {MIN_KEY_BYTES} characters, "
    "made by chance, as `openssl rand -base64 48` prints them (or leave it out, and one is made and kept)"
)
_WRONG_FORM = (
    "holds the key in use on its first line, and former ones after it with their end behind them, as in "
    "'KEY until 2026-12-25T09:00:00Z'"
)
_NOT_IN_FILE = (
    "stands in the configuration, where it can only be changed by hand; put it into a file of its own and set "
    "signing_key_file, or leave both out"
)


def _write(file: Path, text: str, *, replaces: bool) -> None:
    """Write ``text`` to ``file``, whole or not at all, for its owner alone."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(text)
            out.flush()
            os.fsync(descriptor)
        if replaces:
            _keep_owner(draft, file)
            draft.replace(file)
        else:
            # A link fails where a rename would replace: of two programs that start at once, one key stays.
            try:
                os.link(draft, file)
            except FileExistsError:
                return
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(file.parent)


def _keep_owner(draft: Path, file: Path) -> None:
    """Let ``draft`` belong to whom ``file`` does: an operator who is root must not take it from the server."""
    found = file.stat()
    if os.geteuid() == 0:
        os.chown(draft, found.st_uid, found.st_gid)
