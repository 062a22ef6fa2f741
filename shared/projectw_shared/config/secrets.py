"""Secrets that stand in a file of their own, so that the configuration can be shown to others."""

import stat
import warnings
from pathlib import Path

from projectw_shared.config.mistakes import ConfigError, Mistake

MAX_CHARACTERS = 64 * 1024


class ReadableByOthers(UserWarning):
    """A file with a secret can be read by other users of this machine."""


def read_secret(value: str | None, file: Path | None, *, name: str) -> str | None:
    """Return the secret from ``value`` or from ``file``, whose settings are ``name`` and ``name`` + ``_file``.

    A newline at the end of the file does not count. ``name`` is dotted, as in ``runner.token``. None when
    neither is set; ConfigError when both are, or when the file cannot be read or is empty. A file that
    everyone may read is a warning, ``ReadableByOthers``.
    """
    if file is None:
        return value
    if value is not None:
        raise ConfigError([Mistake(name, None, f"is set, and {name}_file too; keep one of them")])
    setting = f"{name}_file"
    try:
        mode = file.stat().st_mode
        # Bounded: a device has no end.
        with file.open(encoding="utf-8") as opened:
            secret = opened.read(MAX_CHARACTERS + 1).rstrip("\r\n")
        if len(secret) > MAX_CHARACTERS:
            raise ConfigError([Mistake(setting, None, f"{file} is too long for a secret")])
    except OSError as error:
        raise ConfigError([Mistake(setting, None, f"{file} cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Mistake(setting, None, f"{file} is no text in UTF-8")]) from error
    if not secret.strip():
        raise ConfigError([Mistake(setting, None, f"{file} is empty; it holds the secret and nothing else")])
    if mode & stat.S_IROTH:
        message = f"{file} ({setting}) can be read by every user of this machine; chmod 600 it"
        warnings.warn(message, ReadableByOthers, stacklevel=2)
    return secret
