"""Which addresses may sign up."""

from contextlib import suppress

import pytest

from projectw_server.accounts.domains import check_domains, may_sign_up
from projectw_server.accounts.users import normalised
from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError
from projectw_shared.errors import Invalid

ALLOWED = ["Example.org", "müller.de"]


@pytest.mark.parametrize(
    "email",
    [
        "user@example.org",
        "user@EXAMPLE.org",
        " user@example.ORG ",
        "user@müller.de",
        "user@MÜLLER.de",
        "user@mu\u0308ller.de",
        "user@xn--mller-kva.de",
    ],
)
def test_an_address_of_an_allowed_domain_may_sign_up_however_it_is_spelt(email: str) -> None:
    assert may_sign_up(normalised(email), ALLOWED)


@pytest.mark.parametrize(
    "email",
    [
        "user@example.org.evil.com",
        "user@sub.example.org",
        "user@notexample.org",
        "user@example.orgx",
        "user@exampleXorg",
        "user@example-org",
        "user@example.com",
        "user@org",
        "example.org@evil.com",
        "user@evil.com@example.org",
        '"user@evil.com"@example.org',
        "user@example.org.",
        "user@.example.org",
        "user@example.org\n",
        "user@example.org\x00",
        "user@example.org\u200b",
        "user@example.org,evil.com",
        "user@example.org;evil.com",
        "user@example.org>",
        "user@example。org",
        "user@ехample.org",  # Cyrillic
        "user@ｅxample.org",
        "user@exam\u00adple.org",
        "user@muller.de",
        "user@[127.0.0.1]",
        "user@",
        "@example.org",
    ],
)
def test_no_other_address_may_however_alike_it_looks(email: str) -> None:
    with suppress(Invalid):
        address = normalised(email)
        if address == "user@example.org":  # with the blanks taken off it is that
            return
        assert not may_sign_up(address, ALLOWED)


def test_without_a_list_every_address_may() -> None:
    assert may_sign_up("a@b", [])
    assert may_sign_up("root@localhost", [])


@pytest.mark.parametrize(
    "wrong", ["*.example.org", "@example.org", ".example.org", "user@example.org", "", "a b", "-x.org"]
)
def test_a_list_with_what_is_no_domain_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="which is no domain; write one as example"):
        check_domains(ServerSettings(allowed_email_domains=["example.org", wrong]))


def test_a_list_of_domains_is_taken() -> None:
    check_domains(ServerSettings(allowed_email_domains=ALLOWED))
