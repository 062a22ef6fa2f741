"""Addresses of servers."""

import pytest

from projectw_shared.addresses import check_server_url, is_loopback


@pytest.mark.parametrize(
    "address",
    [
        "https://x.example",
        "http://localhost:80",
        "http://127.0.0.1",
        "http://[::1]:8",
        "http://pw.localhost",
        "https://x.example/pw",
    ],
)
def test_encrypted_and_local_addresses_are_accepted(address: str) -> None:
    assert check_server_url(f"{address}/") == address


@pytest.mark.parametrize("address", ["http://x.example", "http://10.0.0.1:8080", "http://localhost.example"])
def test_plain_http_elsewhere_needs_a_setting(address: str) -> None:
    with pytest.raises(ValueError, match="unencrypted; use https:"):
        check_server_url(address)
    assert check_server_url(address, allow_plain_http=True) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x.example",
        "ftp://x.example",
        "https://",
        "https://x:99999",
        "https:///x",
        "https://x/?a=b",
        "https://x/#a",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError):
        check_server_url(address)


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="no user name or password") as caught:
        check_server_url("https://ada:hunter2@x.example")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("a.localhost", True),
        ("0.0.0.0", False),
        ("localhost.example", False),
    ],
)
def test_this_machine_is_told_from_others(host: str, local: bool) -> None:
    assert is_loopback(host) is local
