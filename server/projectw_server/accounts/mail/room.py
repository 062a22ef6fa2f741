"""The mail room: sends what is due, again and again until it is taken or worth nothing any more."""

import asyncio
import time
from collections.abc import Callable

import structlog

from projectw_server.accounts.mail.drafting import Drafting, Later
from projectw_server.accounts.mail.due import Due, Mail
from projectw_server.accounts.mail.letters import Letters, Unwritable
from projectw_server.accounts.mail.purposes import is_worth_seconds
from projectw_server.accounts.mail.transport import LONGEST_SECONDS, NotSent, Transport
from projectw_shared.errors import ProjectWError

LOOKED_EVERY = 1.0
"""Seconds. Nobody who puts a mail out wakes the mail room: the answer to whoever asked for one would take the longer,
the more there is to do about it."""

DROPPED_EVERY = 60.0

AT_ONCE = 4
"""Letters under way at a time."""

_log = structlog.get_logger(__name__)


class MailRoom:
    """Sends mails by ``transport``; without one those with codes wait for the operator, and the others are dropped."""

    def __init__(
        self,
        due: Due,
        drafting: Drafting,
        letters: Letters | None,
        transport: Transport | None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._due = due
        self._drafting = drafting
        self._letters = letters
        self._transport = transport
        self._now = now

    async def run(self) -> None:
        """Work for as long as the server lives."""
        while True:
            await asyncio.sleep(DROPPED_EVERY if self._transport is None else LOOKED_EVERY)
            try:
                await self.send_due()
            except ProjectWError as error:
                _log.warning("mails cannot be looked at", reason=error.detail)
            except Exception as error:  # noqa: BLE001  nobody waits for this task; it looks again
                # Its kind alone: what it says may repeat an address.
                _log.error("mails cannot be looked at", reason=type(error).__name__)

    async def send_due(self) -> None:
        """Send everything whose time has come, some at once."""
        if self._transport is None:
            await self._due.drop_notices()
        elif await self._due.is_any():
            await asyncio.gather(*(self._send_one_after_another() for _ in range(AT_ONCE)))

    async def _send_one_after_another(self) -> None:
        while (mail := await self._due.take()) is not None:
            try:
                await self._deal_with(mail)
            except ProjectWError as error:
                _log.warning("mail not sent yet", mail=mail.id, reason=error.detail)
            except Exception as error:  # noqa: BLE001  the others must not wait for one that cannot be written
                _log.error("mail not sent yet", mail=mail.id, reason=type(error).__name__)

    async def _deal_with(self, mail: Mail) -> None:
        log = _log.bind(mail=mail.id, purpose=mail.purpose.value)
        if self._now() - mail.created_at >= is_worth_seconds(mail.purpose):
            log.warning("mail given up", tries=mail.tries)
            await self._due.remove(mail)
            return
        try:
            was_sent = await self._send(mail)
        except Later as later:
            log.info("mail put off: the address has had enough", seconds=round(later.seconds))
            await self._due.put_off(mail, later.seconds)
        except Unwritable:
            log.warning("mail not sent: its address cannot be written to")
            await self._due.remove(mail)
        except NotSent as error:
            if error.is_final:
                log.warning("mail not sent", reason=str(error))
                await self._due.remove(mail)
            else:
                log.warning("mail not sent yet", reason=str(error), tries=mail.tries)
        else:
            # Not told apart at the level that is shown: the log need not say which addresses have an account.
            log.info("mail dealt with")
            log.debug("mail sent" if was_sent else "nothing to send")
            await self._due.remove(mail)

    async def _send(self, mail: Mail) -> bool:
        assert self._transport is not None, "there is one, or nothing is taken"
        assert self._letters is not None, "there is one with a transport"
        letter = await self._drafting.draft(mail)
        if letter is None:
            return False
        message = self._letters.write(letter, f"{mail.id}.{mail.tries}")
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._transport.send(message, message["To"].addresses[0].addr_spec)
        except TimeoutError:
            self._drafting.undo(mail, letter)
            raise NotSent("took too long") from None
        except NotSent:
            self._drafting.undo(mail, letter)
            raise
        return True
