"""Domains of addresses: which of them may sign up. Compared as they are, never as a pattern or by their ends."""

from collections.abc import Collection

import idna

from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError, Mistake


def domain_of(email: str) -> str | None:
    """Return the domain of a normalised address in ASCII, None when it cannot be one of the net's."""
    return in_ascii(email.rpartition("@")[2])


def in_ascii(domain: str) -> str | None:
    """Return ``domain`` in lower case and in ASCII (IDNA 2008), None when it cannot be one.

    Nothing is read as something else: a domain with letters that only look like others, or that are only written
    in another width, is another domain or none.
    """
    try:
        return idna.encode(domain.lower(), strict=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None


def may_sign_up(email: str, allowed: Collection[str]) -> bool:
    """Tell whether a normalised address is in one of the ``allowed`` domains; without any, every address is."""
    domain = domain_of(email)
    return not allowed or (domain is not None and domain in {in_ascii(each) for each in allowed})


def check_domains(settings: ServerSettings) -> None:
    """Raise ConfigError for what is among the allowed domains and none, so that nobody could sign up with it."""
    wrong = [each for each in settings.allowed_email_domains if in_ascii(each) is None]
    if wrong:
        what = f"has {', '.join(map(repr, wrong))}, which is no domain; write one as example.org, without '@' and '*'"
        raise ConfigError([Mistake("server.allowed_email_domains", None, what)])
