"""Letters: plain text from templates, with headers that nobody's address or name can add to."""

import time
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from shlex import quote
from typing import Any

import idna
from jinja2 import Environment, PackageLoader, StrictUndefined

from projectw_server.clock import moment
from projectw_shared.text import safe


@dataclass(frozen=True)
class Letter:
    """A letter to ``email`` by the template ``name``, with what is to be put in; ``code`` stays out of the repr."""

    name: str
    email: str
    values: dict[str, Any] = field(default_factory=dict)
    code: str | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Letter({self.name})"


class Unwritable(Exception):
    """The address cannot stand on a letter."""


class Letters:
    """Writes letters from ``sender``, for the installation called ``installation`` at ``url``."""

    def __init__(self, sender: Address, installation: str, url: str | None) -> None:
        self._sender = sender
        self._common = {
            "installation": safe(installation),
            "server": f" --server {url}" if url else "",
            "url": url,
        }
        self._templates = Environment(
            loader=PackageLoader("projectw_server.accounts.mail"),
            autoescape=False,  # nosec B701  # noqa: S701  plain text has nothing to escape
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def write(self, letter: Letter, message_id: str) -> EmailMessage:
        """Return ``letter`` as it is sent; Unwritable when its address cannot be written to."""
        to = to_address(letter.email)
        values = {
            name: safe(value) if isinstance(value, str) else value for name, value in letter.values.items()
        }
        text = self._templates.get_template(f"{letter.name}.txt").render(
            **self._common,
            **values,
            code=letter.code,
            address=safe(letter.email),
            address_in_a_shell=quote(safe(letter.email)),
        )
        subject, _, body = text.partition("\n\n")
        is_ascii = to.addr_spec.isascii() and self._sender.addr_spec.isascii()
        message = EmailMessage(policy=SMTP if is_ascii else SMTPUTF8)
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = subject.strip()
        message["Date"] = format_datetime(_now())
        message["Message-ID"] = f"<{message_id}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers
        message.set_content(body, cte="7bit" if body.isascii() else "quoted-printable")
        return message


def to_address(email: str, name: str = "") -> Address:
    """Return ``email`` as mail servers take it, its domain in ASCII; Unwritable when there is no such way."""
    user, _, domain = email.rpartition("@")
    try:
        return Address(name, user, domain if domain.isascii() else idna.encode(domain).decode())
    except (HeaderParseError, ValueError, IndexError) as error:
        raise Unwritable("the address cannot stand in a header") from error


def _now() -> Any:
    return moment(float(int(time.time())))
