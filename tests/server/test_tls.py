"""TLS without a proxy."""

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.certificates import Authority
from projectw_server.api import greeting
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_server.tls import Certificate
from projectw_shared.config import ConfigError
from projectw_shared.errors import Unreachable
from projectw_shared.http import Api, FixedToken
from projectw_shared.messages import About

from .live import Live, serving, until


@pytest.fixture
def kind() -> str:
    """One kind of database does: none of it is about that."""
    return "sqlite"


REQUEST = b"GET /api/about HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def certificate(authority: Authority) -> Certificate:
    return Certificate(*authority.issue("first"))


@pytest.fixture
async def live(settings: ServerSettings, database: Database, certificate: Certificate) -> AsyncIterator[Live]:
    async with serving(settings, database, certificate=certificate) as live:
        yield live


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.file)


async def ask(port: int, context: ssl.SSLContext) -> tuple[bytes, str, str]:
    """Return the answer to a request, the name in the certificate, and the protocol."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(REQUEST)
        answer = await asyncio.wait_for(reader.read(), 20)
        subject = writer.get_extra_info("peercert")["subject"]
        return answer, subject[0][0][1], writer.get_extra_info("ssl_object").version()
    finally:
        writer.close()


async def test_a_client_that_knows_the_authority_is_served_and_told_to_keep_to_tls(
    live: Live, authority: Authority
) -> None:
    answer, name, version = await ask(live.port, trusting(authority))
    assert (name, version) == ("first", "TLSv1.3")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nstrict-transport-security: max-age=" in answer


async def test_our_own_clients_verify_it_and_take_the_authority_from_ca_file(
    live: Live, authority: Authority
) -> None:
    url = f"https://localhost:{live.port}"
    async with Api(url, credentials=FixedToken(None), user_agent="test", ca_file=authority.file) as api:
        assert (await api.call("GET", "/api/about", reply=About)).name == "Project W"
    async with Api(url, credentials=FixedToken(None), user_agent="test") as api:
        with pytest.raises(Unreachable, match="set ca_file"):
            await api.call("GET", "/api/about", reply=About, attempts=1)


async def test_old_protocols_and_weak_ciphers_are_refused(live: Live, authority: Authority) -> None:
    weak = trusting(authority)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await ask(live.port, weak))[2] == "TLSv1.2"
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA:AES128-SHA:@SECLEVEL=0")
    with pytest.raises(OSError):  # ssl.SSLError, or a connection that is reset
        await ask(live.port, weak)
    context = certificate_context(live)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert all("GCM" in each["name"] or "CHACHA20" in each["name"] for each in context.get_ciphers())


def certificate_context(live: Live) -> ssl.SSLContext:
    assert live.certificate is not None
    return live.certificate.context


async def test_a_renewed_certificate_is_taken_over_and_open_connections_go_on(
    live: Live, authority: Authority, certificate: Certificate, tmp_path: Path
) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", live.port, ssl=trusting(authority), server_hostname="localhost"
    )
    for old, new in zip(
        (tmp_path / "first.pem", tmp_path / "first.key"), authority.issue("second"), strict=True
    ):
        shutil.copy(new, old)
    certificate.renew()
    assert (await ask(live.port, trusting(authority)))[1] == "second"
    writer.write(REQUEST)
    assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_a_half_renewed_certificate_is_logged_and_the_former_goes_on(
    live: Live, authority: Authority, certificate: Certificate, tmp_path: Path
) -> None:
    shutil.copy(authority.issue("second")[0], tmp_path / "first.pem")
    with capture_logs() as logs:
        certificate.renew()
    assert [each["log_level"] for each in logs] == ["error"]
    assert (await ask(live.port, trusting(authority)))[1] == "first"


async def test_a_handshake_that_is_never_finished_ends_and_counts_meanwhile(
    settings: ServerSettings,
    database: Database,
    certificate: Certificate,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(greeting, "HANDSHAKE_SECONDS", 1.0)
    async with serving(settings, database, most=1, certificate=certificate) as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"\x16\x03\x01")
        await until(lambda: live.occupancy.total == 1)
        with pytest.raises(OSError):
            await ask(live.port, trusting(authority))
        assert await asyncio.wait_for(reader.read(), 20) == b""
        await until(lambda: live.occupancy.total == 0)
        assert (await ask(live.port, trusting(authority)))[0].startswith(b"HTTP/1.1 200 ")
        await until(lambda: live.occupancy.total == 0)
        writer.close()


async def test_plain_http_to_a_tls_port_ends_without_noise(live: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(REQUEST)
    with capture_logs() as logs:
        assert not (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 200")
    assert [each for each in logs if each["log_level"] == "error"] == []
    writer.close()


def refusal(certificate: Path, key: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Certificate(certificate, key)
    return str(caught.value)


def test_what_cannot_be_used_is_told_by_its_setting(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("one")
    _, other = authority.issue("other")
    _, locked = authority.issue("locked", passphrase=b"secret")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    assert "tls_key_file" in (told := refusal(certificate, other))
    assert "not the key of the certificate" in told
    assert "tls_key_file" in (told := refusal(certificate, locked))
    assert "passphrase" in told
    assert "tls_certificate_file" in refusal(broken, key)
    assert "tls_certificate_file" in (told := refusal(key, key))
    assert "no certificate" in told
    assert "tls_key_file" in (told := refusal(certificate, certificate))
    assert "no private key" in told
    assert "tls_certificate_file" in (told := refusal(tmp_path / "nothing", key))
    assert "cannot be read" in told
    if os.geteuid() != 0:
        key.chmod(0)
        assert "cannot be read" in refusal(certificate, key)
