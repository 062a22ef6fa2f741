"""A server does not go beyond this machine unprotected, and says what would be right."""

from pathlib import Path
from typing import Any

import pytest

from projectw_server.cli import run
from projectw_server.exposure import check
from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError


def mistakes(**settings: Any) -> dict[str, str]:
    try:
        check(ServerSettings(**settings))
    except ConfigError as error:
        return {mistake.path: mistake.message for mistake in error.mistakes}
    return {}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_needs_nothing(host: str) -> None:
    assert mistakes(host=host) == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_beyond_it_a_server_needs_tls_or_a_proxy_or_a_word(host: str, tmp_path: Path) -> None:
    (told,) = mistakes(host=host).items()
    assert told[0] == "server.host"
    for way in ("tls_certificate_file", "trusted_proxies", "insecure_plain_http"):
        assert way in told[1]
    files = {"tls_certificate_file": tmp_path / "c", "tls_key_file": tmp_path / "k"}
    assert mistakes(host=host, **files) == {}
    assert mistakes(host=host, trusted_proxies=["10.0.0.1"]) == {}
    assert mistakes(host=host, insecure_plain_http=True) == {}


@pytest.mark.parametrize(
    ("settings", "place", "words"),
    [
        ({"trusted_proxies": ["proxy.example.org"]}, "server.trusted_proxies.0", "10.0.0.0/24"),
        ({"trusted_proxies": ["10.0.0.1", "*"]}, "server.trusted_proxies.1", "no address"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "server.trusted_proxies.0", "of /8 at most"),
        ({"trusted_proxies": ["::1", "::/1"]}, "server.trusted_proxies.1", "of /7 at most"),
        ({"allowed_hosts": ["https://x.org"]}, "server.allowed_hosts.0", "without http://"),
        ({"allowed_hosts": ["x.org:80"]}, "server.allowed_hosts.0", "port"),
        ({"allowed_hosts": ["*"]}, "server.allowed_hosts.0", "one name each"),
        ({"cors_origins": ["*"]}, "server.cors_origins.0", "https://app.example.org"),
        ({"cors_origins": ["https://x.org/"]}, "server.cors_origins.0", "without a path"),
        ({"cors_origins": ["https://X.org"]}, "server.cors_origins.0", "small letters"),
        ({"public_url": "projectw.example.org"}, "server.public_url", "https://projectw.example.org"),
        ({"public_url": "https://u:p@x.org"}, "server.public_url", "no address"),
        ({"tls_certificate_file": Path("c")}, "server.tls_key_file", "private key"),
        ({"tls_key_file": Path("k")}, "server.tls_certificate_file", "certificate"),
    ],
)
def test_a_mistake_is_told_by_its_place(settings: dict[str, Any], place: str, words: str) -> None:
    told = mistakes(**settings)
    assert words in told[place]


@pytest.mark.parametrize(
    "settings",
    [
        {"cors_origins": ["https://app.example.org", "http://localhost:5173", "https://[2001:db8::1]:8443"]},
        {"public_url": "https://projectw.example.org/"},
        {"public_url": "http://192.0.2.1:8000"},
        {"allowed_hosts": ["projectw", "a.example.org", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"]},
        {"trusted_proxies": ["10.0.0.5", "10.0.0.5/24", "::1", "10.0.0.0/8", "fc00::/7"]},
    ],
)
def test_what_is_right_passes(settings: dict[str, Any]) -> None:
    assert mistakes(**settings) == {}


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("config", "check")])
def test_the_command_leaves_with_78_and_a_sentence(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"server:\n  host: 0.0.0.0\n  data_dir: {tmp_path / 'home'}\n")
    assert run(["--config", str(config), *command]) == 78
    told = capsys.readouterr().err
    assert "server.host" in told
    assert "tls_certificate_file" in told
    assert not (tmp_path / "home").exists()
