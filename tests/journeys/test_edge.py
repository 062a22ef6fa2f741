"""The way to the server with nothing in front of it, and with a proxy."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.certificates import Authority
from deploy.installation import Installation
from tests.journeys.world import EMAIL, PASSWORD, write_sound

pytestmark = pytest.mark.journey


def test_a_job_is_done_over_tls_with_a_certificate_authority_of_ones_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    settings = {"tls_certificate_file": str(certificate), "tls_key_file": str(key), "host": "0.0.0.0"}
    installation = Installation(tmp_path, server={**settings, "public_url": "https://localhost"})
    try:
        installation.add_user(EMAIL, PASSWORD)
        token = installation.add_runner("gpu")
        installation.serve()
        assert installation.url.startswith("https://0.0.0.0:")
        installation.use_server(installation.url.replace("0.0.0.0", "localhost"))
        refused = installation.client("login", EMAIL, "--password-stdin", stdin=PASSWORD)
        assert refused.returncode == 69
        assert "ca_file" in refused.stderr

        client = json.loads(installation.client_config.read_text())
        client["tui"]["ca_file"] = str(authority.file)
        installation.client_config.write_text(json.dumps(client))
        assert installation.client("login", EMAIL, "--password-stdin", stdin=PASSWORD).returncode == 0
        installation.start_runner("gpu", token, engine="fake", ca_file=str(authority.file)).wait_for(
            "registered"
        )
        sound = write_sound(tmp_path / "minute.wav", 60)
        done = installation.client("submit", sound, "--wait", "--format", "txt")
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    finally:
        installation.close()


def ask(url: str, **headers: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", "/api/about", headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("settings", "is_believed"),
    [({}, False), ({"trusted_proxies": ["192.0.2.1"]}, False), ({"trusted_proxies": ["127.0.0.0/8"]}, True)],
    ids=["none", "another", "this one"],
)
def test_what_a_proxy_says_is_believed_where_it_is_listed(
    tmp_path: Path, settings: dict[str, Any], is_believed: bool
) -> None:
    installation = Installation(tmp_path, server=settings)
    try:
        installation.serve()
        answer = ask(installation.url, X_Forwarded_Proto="https", X_Forwarded_For="203.0.113.9")
        assert answer.status == 200
        assert ("Strict-Transport-Security" in answer.headers) is is_believed
        assert ask(installation.url, Host="evil.example").status == 421
    finally:
        installation.close()


def test_a_server_beyond_this_machine_says_what_it_needs(tmp_path: Path) -> None:
    installation = Installation(tmp_path, server={"host": "0.0.0.0"})
    done = installation.command("projectw-server", "serve", "--port", "0")
    assert done.returncode == 78
    assert "trusted_proxies" in done.stderr
