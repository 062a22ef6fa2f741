"""Recordings that wait to be sent, and the one that is being sent."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from projectw_shared.errors import ProjectWError
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job
from projectw_tui.client import Client
from projectw_tui.uploading import Upload
from projectw_tui.widgets.job_table import Sending


class Listener(Protocol):
    """Is told how it stands with a recording."""

    def __call__(self, sending: Sending, job: Job | None, *, gone: bool) -> None:
        """Show ``sending``, or ``job`` in its place when it is ``gone``."""


class Outbox:
    """Sends one recording after the other: two at once would only share the line."""

    def __init__(self, client: Client, tell: Listener) -> None:
        self._client = client
        self._tell = tell
        self._uploads: dict[str, Upload] = {}
        self._sendings: dict[str, Sending] = {}
        self._waiting: list[str] = []
        self._task: tuple[str, asyncio.Task[Job]] | None = None
        self._turn = asyncio.Lock()
        self.folder = Path.cwd()
        """Where the last recording came from."""

    @property
    def unsent(self) -> int:
        """How many recordings are not at the server yet and would get there."""
        return len(self._waiting) + (self._task is not None)

    def add(self, path: Path, settings: JobSettings) -> None:
        """Put a recording at the end of the line."""
        sending = Sending(f"sending-{new_id()}", path.name)
        self.folder = path.parent
        self._uploads[sending.key] = Upload(path, settings)
        self._waiting.append(sending.key)
        self._show(sending)

    def retry(self, key: str) -> None:
        """Put what could not be sent at the end of the line again."""
        self._waiting.append(key)
        self._show(replace(self._sendings[key], fraction=None, error=None))

    def cancel(self, key: str) -> None:
        """Take a recording out, breaking its upload off."""
        if key in self._waiting:
            self._waiting.remove(key)
        if self._task is not None and self._task[0] == key:
            self._task[1].cancel()
        self._finish(key, None)

    async def send_all(self) -> None:
        """Send until nothing waits; a second call while one sends waits for it and finds nothing to do."""
        async with self._turn:
            while self._waiting:
                await self._send(self._waiting.pop(0))

    async def _send(self, key: str) -> None:
        upload = self._uploads[key]

        def progress(sent: int, total: int) -> None:
            known = self._sendings.get(key)
            fraction = sent / max(total, 1)
            # A percent is the least that one sees; more often would only cost drawing.
            if known is not None and int(fraction * 100) != int((known.fraction or 0) * 100):
                self._show(replace(known, fraction=fraction))

        self._show(replace(self._sendings[key], fraction=0.0))
        task = asyncio.ensure_future(self._client.upload(upload.path, upload.settings, progress=progress))
        self._task = key, task
        try:
            self._finish(key, await task)
        except asyncio.CancelledError:
            if key in self._sendings:  # the whole screen ends, not this upload alone
                task.cancel()
                raise
        except ProjectWError as error:
            self._show(replace(self._sendings[key], error=error.detail))
        except OSError as error:
            self._show(replace(self._sendings[key], error=f"The file cannot be read: {error.strerror}."))
        finally:
            self._task = None

    def _show(self, sending: Sending) -> None:
        self._sendings[sending.key] = sending
        self._tell(sending, None, gone=False)

    def _finish(self, key: str, job: Job | None) -> None:
        sending = self._sendings.pop(key, None)
        self._uploads.pop(key, None)
        if sending is not None:
            self._tell(sending, job, gone=True)
