"""A mail server in the test's own event loop, which keeps what it gets."""

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "projectw", "the mail server's password"


@dataclass
class Post:
    """What came, to whom, and what is answered to RCPT and to DATA."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    rcpt: str = ""
    data: str = "250 kept"

    async def handle_RCPT(  # noqa: N802
        self, _server: object, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt.format(address=address)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if not self.data.startswith("250"):
            return self.data
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        self.letters.append(email.message_from_bytes(content, policy=email.policy.default))  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        assert server.transport is not None
        self.was_encrypted.append(server.transport.get_extra_info("cipher") is not None)
        return self.data

    def authenticate(
        self, _server: object, _session: object, _envelope: object, _mechanism: str, data: Any
    ) -> AuthResult:
        is_right = (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
        if is_right:
            self.signed_in.append(USER)
        return AuthResult(success=is_right, handled=False)

    def code(self, number: int = -1) -> str:
        """Return the code in a letter."""
        text = self.text(number)
        return next(word for word in text.split() if word.startswith("pwm_"))

    def text(self, number: int = -1) -> str:
        return str(self.letters[number].get_content()).replace("\r\n", "\n")


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and a certificate of its for ``localhost``."""

    file: Path
    context: ssl.SSLContext


def authority(folder: Path) -> Authority:
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return Authority(folder / "ca.pem", context)


@asynccontextmanager
async def listening(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, auth: bool = False
) -> AsyncIterator[Post]:
    """Take mail until the end of the block."""
    post = Post()
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            post,
            hostname="mail.test",
            loop=loop,
            enable_SMTPUTF8=True,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=post.authenticate if auth else None,
            auth_required=auth,
            auth_require_tls=starttls is not None,
        )

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()
        await server.wait_closed()
