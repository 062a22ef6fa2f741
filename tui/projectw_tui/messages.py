"""What happens outside of the screens, as messages to them."""

from textual.message import Message

from projectw_shared.accounts import User
from projectw_shared.messages import Job
from projectw_shared.transcripts import Segment


class JobChanged(Message):
    """A job is new or different."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        """Let a newer word on the same job take this one's place: progress may come faster than it is drawn."""
        return isinstance(message, JobChanged) and message.job.id == self.job.id


class JobRemoved(Message):
    """A job was deleted."""

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id


class SegmentsArrived(Message):
    """A transcript has grown; ``segments`` may begin after what one has, when something was missed."""

    def __init__(self, job_id: str, segments: list[Segment]) -> None:
        super().__init__()
        self.job_id = job_id
        self.segments = segments


class ReadAnew(Message):
    """What one has may be out of date: it is to be asked for again.

    ``everything`` is False when the changes that were missed follow by themselves.
    """

    def __init__(self, *, everything: bool) -> None:
        super().__init__()
        self.everything = everything


class WorkFailed(Message):
    """Something failed in the background of a screen; it bubbles up to the one place that shows failures."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class LineChanged(Message):
    """The connection was made, or was lost: then ``retry_at`` is the moment of the next try, in the loop's time."""

    def __init__(self, *, connected: bool, reason: str = "", retry_at: float = 0.0) -> None:
        super().__init__()
        self.connected = connected
        self.reason = reason
        self.retry_at = retry_at


class PersonKnown(Message):
    """The server has said who is signed in."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user


class SignedOut(Message):
    """The session has ended by the person's own wish."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class RightsLost(Message):
    """What is looked at is not the person's to see any more."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason
