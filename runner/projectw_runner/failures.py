"""What ends a job at this runner, as the person who waits for it is told."""

from projectw_shared.messages import ResultError
from projectw_shared.text import safe


class JobFailure(Exception):
    """A job cannot be done here: a stable code, a sentence for its owner, and whether another try may help.

    Raised by whoever knows (media, checkpoints, engines), reported at one place, the job boundary in ``work``.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable

    def to_error(self) -> ResultError:
        """Return the failure as it is sent to the server: a stranger's file may have had a say in the words."""
        return ResultError(code=self.code, message=safe(self.message)[:2000], retryable=self.retryable)
