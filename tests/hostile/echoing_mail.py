"""A mail server that refuses each letter once and repeats all of it in the reason, as some do."""

import email
import email.policy
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class MailServer(socketserver.ThreadingTCPServer):
    """Keeps the text of every letter that it was sent."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.letters: list[str] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def codes(self) -> list[str]:
        """Return the codes in all letters so far."""
        return [code for letter in self.letters for code in re.findall(r"pwm_[\w-]+", letter)]


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode(errors="replace").strip():
            word = line[:4].upper()
            if word == "EHLO":
                self._say("250-here\r\n250 AUTH PLAIN LOGIN")
            elif word == "AUTH":
                self._say("235 good" if len(line.split()) == 3 else "334 ")
            elif word == "DATA":
                self._take()
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 good")

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        message: Any = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        text = message.get_body(("plain",)).get_content()
        is_first = not any(message["To"] in each for each in self.server.letters)
        self.server.letters.append(f"{message['To']}\n{text}")
        self._say("451 not now: " + " ".join(text.split())[:400] if is_first else "250 taken")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Serve until the block is left."""
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
