"""TLS without a proxy: the certificate of the settings, also the renewed one, for connections that begin then."""

import asyncio
import ssl
from pathlib import Path

import structlog

from projectw_server.settings import ServerSettings
from projectw_server.storage.files import Stamp, stamp
from projectw_shared.config import ConfigError, Mistake

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption alone. TLS 1.3 has no other."""

LOOK_SECONDS = 5.0
"""How often it is looked whether the files have changed."""

_log = structlog.get_logger(__name__)


class Certificate:
    """A certificate and its key. Raises ConfigError when they cannot be used."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._look()
        self.context = self._load()

    async def watch(self) -> None:
        """Take over what changes, until cancelled; what cannot be used is logged, and the former goes on."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.renew)

    def renew(self) -> None:
        """Take over the files if they have changed since they were looked at last."""
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            # Tried apart: half a change of the two files must not spoil what is in use.
            self._load()
            self.context.load_cert_chain(self._certificate, self._key, _no_passphrase)
        except (ConfigError, OSError, ValueError) as error:
            _log.error("the changed certificate cannot be used, the former one goes on", reason=str(error))
        else:
            _log.info("the certificate was renewed")

    def _look(self) -> list[Stamp | None]:
        return [stamp(file) for file in (self._certificate, self._key)]

    def _load(self) -> ssl.SSLContext:
        _check(self._certificate, "server.tls_certificate_file", b"CERTIFICATE-----")
        _check(self._key, "server.tls_key_file", b"PRIVATE KEY-----")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, _no_passphrase)
        except ssl.SSLError as error:
            raise ConfigError([_mistake(error, self._certificate, self._key)]) from error
        except ValueError as error:
            reason = f"{self._key} is locked with a passphrase; keep the key without one, readable by the server alone"
            raise ConfigError([Mistake("server.tls_key_file", None, reason)]) from error
        return context


def certificate_of(settings: ServerSettings) -> Certificate | None:
    """Return what the server speaks TLS with, None where it does not. Raises ConfigError."""
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return Certificate(settings.tls_certificate_file, settings.tls_key_file)


def _check(file: Path, setting: str, mark: bytes) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError([Mistake(setting, None, f"{file} cannot be read: {error.strerror}")]) from error
    if mark not in content:
        what = "certificate" if mark.startswith(b"CERT") else "private key"
        raise ConfigError(
            [Mistake(setting, None, f"{file} holds no {what} in PEM, which begins with -----BEGIN")]
        )


def _mistake(error: ssl.SSLError, certificate: Path, key: Path) -> Mistake:
    if error.reason == "KEY_VALUES_MISMATCH" or error.reason == "KEY_TYPE_MISMATCH":
        reason = f"{key} is not the key of the certificate in {certificate}"
        return Mistake("server.tls_key_file", None, reason)
    reason = f"{certificate} with {key} cannot be used: {error.reason or error}"
    return Mistake("server.tls_certificate_file", None, reason)


def _no_passphrase() -> str:
    # Otherwise OpenSSL asks for it on the terminal.
    raise ValueError("a passphrase is needed")
