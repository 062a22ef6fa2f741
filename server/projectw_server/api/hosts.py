"""Under which names the server answers: a page of another site must not reach it by letting its own name point here.

That is DNS rebinding: the browser takes ``http://evil.example`` for one site, whatever address the name has from one
moment to the next, and only the header Host tells what it believes to talk to.
"""

import platform
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from projectw_server.settings import ServerSettings
from projectw_shared.addresses import is_loopback

_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{0,5})?", re.ASCII | re.IGNORECASE)


class Hosts:
    """Knows the names of this server.

    Loopback's names, the host that it listens on, ``allowed_hosts`` and that of ``public_url``. One that listens
    beyond loopback and is told neither of the latter two answers to the machine's own name and to any IP address,
    which no one else's name can turn into.
    """

    def __init__(self, settings: ServerSettings) -> None:
        listed = [*settings.allowed_hosts]
        if settings.public_url is not None:
            listed.append(urlsplit(settings.public_url).hostname or "")
        self._is_public = not is_loopback(settings.host)
        self._takes_addresses = self._is_public and not listed
        if self._takes_addresses:
            listed.append(platform.node())
        self._names = {name_of(each) for each in [*listed, settings.host] if each}

    @property
    def are_guessed(self) -> bool:
        """Nobody has said under which name people reach this server, and they may be beyond this machine."""
        return self._takes_addresses

    def accepts(self, authority: str, *, probing: bool = False) -> bool:
        """Tell whether ``authority`` (a Host header) names this server.

        Probes of balancers ask for the address; ``probing`` lets them, where the server is not for loopback alone.
        """
        found = _AUTHORITY.fullmatch(authority)
        if found is None:
            return False
        name = name_of(found["name"])
        if name in self._names or is_loopback(name):
            return True
        return (self._takes_addresses or (probing and self._is_public)) and _is_address(name)


def name_of(host: str) -> str:
    """Return a host's name as it is compared: lower case, without brackets and without the root's dot."""
    return host.lower().removeprefix("[").removesuffix("]").removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
