"""One held job, as working and beating share it: what was transcribed, what of it the server has, and its end."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from projectw_runner.engines import Step
from projectw_shared.errors import Forbidden, LeaseLost, NotFound, ProjectWError, SessionLost, Unauthorized
from projectw_shared.messages import Assignment, HeldJob
from projectw_shared.transcripts import Segment

SEGMENTS_A_HEARTBEAT = 200
"""After so many the rest waits for the next heartbeat, so that hours sent again after a gap are small bodies."""


class Ending(IntEnum):
    """Why a job is let go before it is done. Of several reasons the highest counts."""

    STOPPED = 1
    """This process was asked to leave; another runner goes on."""
    ABORTED = 2
    """Its owner cancelled it."""
    REFUSED = 3
    """The server understood what this runner sent, and did not take it."""
    LOST = 4
    """The lease is not valid any more; whatever is done from now on counts for nothing."""
    EXPELLED = 5
    """The session or the token is not valid any more; this process has nothing left to do."""


@dataclass(frozen=True)
class _Mark:
    """The end of a step: the segments before ``next`` are all of the audio before ``resume_at`` seconds."""

    next: int
    resume_at: float


class Held:
    """A job under its lease, from its assignment until it is let go.

    The server has the first ``first`` segments, which reach to ``resume_at``. What is added here is kept for
    the whole attempt, so that it can be sent again after a gap.
    """

    def __init__(
        self,
        job_id: str,
        lease: int,
        *,
        first: int = 0,
        resume_at: float = 0.0,
        duration: float | None = None,
        language: str | None = None,
    ) -> None:
        self.id = job_id
        self.lease = lease
        self.duration = duration
        self.language = language
        self.ending: Ending | None = None
        self.error: ProjectWError | None = None
        """What the server said, where ``ending`` came from an answer of its own."""
        self.ended = asyncio.Event()
        self.news = asyncio.Event()
        """Set while there is something that the server has not been told."""
        self._first = first
        self._segments: list[Segment] = []
        self._stored = _Mark(first, resume_at)
        self._marks: list[_Mark] = []

    @classmethod
    def assigned(cls, job: Assignment) -> "Held":
        """Return the job at the start of its attempt."""
        return cls(
            job.id,
            job.lease,
            first=job.first,
            resume_at=job.resume_at,
            duration=job.duration,
            language=job.language,
        )

    @property
    def next(self) -> int:
        """The number that the next segment will bear: how many there are in all."""
        return self._first + len(self._segments)

    @property
    def position(self) -> float:
        """Seconds of the recording that are done."""
        return (self._marks[-1] if self._marks else self._stored).resume_at

    @property
    def progress(self) -> float:
        """The share of the recording that is done, 0 to 1; 0 while its length is unknown."""
        return min(1.0, self.position / self.duration) if self.duration else 0.0

    @property
    def is_ours(self) -> bool:
        """The server may still take what is sent for this job."""
        return self.ending is None or self.ending < Ending.REFUSED

    def add(self, step: Step) -> None:
        """Take what a batch of windows brought."""
        self._segments += step.segments
        self.language = step.language or self.language
        mark = _Mark(self.next, max(step.resume_at, self.position))
        if self._marks and self._marks[-1].next == mark.next:
            self._marks[-1] = mark
        elif mark != self._stored:
            self._marks.append(mark)
        self.news.set()

    def status(self) -> HeldJob:
        """Return what renews the lease and shows progress, without anything to store."""
        return HeldJob(self.id, self.lease, self.progress, duration=self.duration, language=self.language)

    def unsent(self) -> Iterator[HeldJob]:
        """Yield what the server lacks, in pieces of whole steps.

        Steps are never split, since ``resume_at`` is only true together with all segments before it.
        """
        stored = self._stored
        while marks := [mark for mark in self._marks if _is_after(mark, stored)]:
            full = (mark for mark in marks if mark.next - stored.next >= SEGMENTS_A_HEARTBEAT)
            mark = next(full, marks[-1])
            yield HeldJob(
                self.id,
                self.lease,
                self.progress,
                resume_at=mark.resume_at,
                duration=self.duration,
                language=self.language,
                first=stored.next,
                segments=self._segments[stored.next - self._first : mark.next - self._first],
            )
            stored = mark

    def note_stored(self, sent: HeldJob) -> None:
        """Note that the server has stored ``sent``, the first piece of what was ``unsent``."""
        assert sent.first is not None
        assert sent.resume_at is not None
        self._stored = _Mark(sent.first + len(sent.segments or ()), sent.resume_at)
        self._marks = [mark for mark in self._marks if _is_after(mark, self._stored)]

    def rewind(self, to: int) -> None:
        """Send again from segment ``to``; let go of the job if this attempt does not have that one."""
        if not self._first <= to <= self.next:
            self.end(Ending.LOST)
            return
        if to < self._stored.next:
            self._marks.insert(0, self._stored)
            self._stored = _Mark(to, 0.0)
        else:
            # It may have more than it ever said: an answer was lost.
            self._stored = _Mark(to, self._stored.resume_at)
        self.news.set()

    def end(self, ending: Ending, error: ProjectWError | None = None) -> None:
        """Let go of the job."""
        if self.ending is None or ending > self.ending:
            self.ending, self.error = ending, error
        self.ended.set()

    def end_after(self, error: ProjectWError) -> None:
        """Let go of the job because of an answer that asking again would not change."""
        if isinstance(error, SessionLost | Unauthorized | Forbidden):
            self.end(Ending.EXPELLED, error)
        elif isinstance(error, LeaseLost | NotFound):
            self.end(Ending.LOST, error)
        else:
            self.end(Ending.REFUSED, error)


def _is_after(mark: _Mark, stored: _Mark) -> bool:
    return mark.next > stored.next or (mark.next == stored.next and mark.resume_at > stored.resume_at)
