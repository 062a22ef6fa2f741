"""The way to the mail server: as the settings say, checked, and never in the clear over a network."""

import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from projectw_server.accounts.mail.letters import Unwritable, to_address
from projectw_server.settings import ServerSettings
from projectw_shared.addresses import is_loopback
from projectw_shared.config import ConfigError, Mistake

PORTS = {"starttls": 587, "tls": 465, "plain": 25}
SECONDS = 30.0
"""How long each step of the conversation may take."""

LONGEST_SECONDS = 120.0
"""How long all of it may take."""


class NotSent(Exception):
    """The mail server did not take a letter. ``is_final`` says that it never will.

    The message holds no word of the server's, since those repeat addresses.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Transport:
    """Hands letters to the mail server, each over a connection of its own."""

    def __init__(self, settings: ServerSettings, sender: Address, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self.sender = sender

    async def send(self, message: EmailMessage, recipient: str) -> None:
        """Send ``message``. Raises NotSent."""
        settings = self._settings
        assert settings.smtp_host is not None, "there is no transport without a host"
        client = SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port or PORTS[settings.smtp_security],
            use_tls=settings.smtp_security == "tls",
            start_tls=settings.smtp_security == "starttls",
            username=settings.smtp_user,
            password=settings.smtp_password,
            tls_context=None if settings.smtp_security == "plain" else self._context,
            timeout=SECONDS,
            # Else the machine's full name is looked up, which blocks and tells what it is called inside.
            local_hostname=self.sender.domain,
        )
        try:
            async with client:
                await client.send_message(message, sender=self.sender.addr_spec, recipients=[recipient])
        except (SMTPRecipientsRefused, SMTPRecipientRefused, SMTPDataError) as error:
            code = _code_of(error)
            raise NotSent(f"refused with {code}", is_final=500 <= code < 600) from None
        except SMTPResponseException as error:
            raise NotSent(f"{type(error).__name__} {error.code}") from None
        except (SMTPException, OSError, ValueError, TimeoutError) as error:
            raise NotSent(type(error).__name__) from None  # its words may repeat addresses, too


def transport_of(settings: ServerSettings) -> Transport | None:
    """Return the way to the mail server, None when none is set; ConfigError when it cannot be one."""
    if settings.smtp_host is None:
        return None
    mistakes: list[Mistake] = []
    sender = None
    try:
        sender = _sender(settings.mail_from)
    except ValueError as error:
        mistakes.append(Mistake("server.mail_from", None, str(error)))
    if settings.smtp_security == "plain" and not is_loopback(settings.smtp_host):
        mistakes.append(Mistake("server.smtp_security", None, _IN_THE_CLEAR))
    if (settings.smtp_user is None) != (settings.smtp_password is None):
        mistakes.append(
            Mistake("server.smtp_user", None, "and smtp_password belong together; set both or none")
        )
    context = None
    try:
        context = _context(settings.smtp_ca_file)
    except OSError as error:  # ssl.SSLError is one
        what = f"{settings.smtp_ca_file} cannot be used: {error.strerror or error}"
        mistakes.append(Mistake("server.smtp_ca_file", None, what))
    if mistakes or sender is None or context is None:
        raise ConfigError(mistakes)
    return Transport(settings, sender, context)


_IN_THE_CLEAR = (
    "is plain, which would send codes and the password unencrypted over the network; use starttls or tls, or a mail "
    "server on this machine (localhost)"
)


def _sender(mail_from: str | None) -> Address:
    if mail_from is None:
        raise ValueError("is needed with smtp_host; it says whom mails are from, like projectw@example.org")
    name, email = parseaddr(mail_from)
    if "@" not in email or not mail_from.isprintable():
        raise ValueError(
            "is no address; write it like projectw@example.org, or 'Project W <projectw@example.org>'"
        )
    try:
        return to_address(email, name)
    except Unwritable:
        raise ValueError("is no address; write it like projectw@example.org") from None


def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))


def _code_of(error: SMTPRecipientsRefused | SMTPRecipientRefused | SMTPDataError) -> int:
    if isinstance(error, SMTPRecipientsRefused):
        return error.recipients[0].code
    return error.code
