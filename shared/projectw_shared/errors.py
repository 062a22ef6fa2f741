"""The one tree of errors, and its way over the wire as problem details (RFC 9457).

::

    ProjectWError
    ├── BadRequest 400
    │   └── WrongToken
    ├── Unauthorized 401
    │   └── WrongPassword
    ├── Forbidden 403
    │   ├── InsufficientScope
    │   ├── NotConfirmed
    │   ├── NotOpen
    │   ├── PasswordMismatch
    │   └── QuotaExceeded
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── TooSlow 408
    ├── Conflict 409
    │   ├── IllegalMove
    │   ├── LeaseLost
    │   ├── SessionLost
    │   ├── Gap
    │   ├── NotFinished
    │   └── KeyInUse
    ├── TooLarge 413
    ├── TargetTooLong 414
    ├── UnsupportedMedia 415
    ├── RangeNotSatisfiable 416
    ├── ExpectationFailed 417
    ├── Misdirected 421
    ├── Invalid 422
    │   ├── KeyReused
    │   └── WeakPassword
    ├── TooManyRequests 429
    │   ├── TooManyTries
    │   ├── TooManyJobs
    │   └── TooManyConnections
    ├── HeadersTooLarge 431
    ├── Internal 500
    ├── Unavailable 503
    │   └── Busy
    ├── StorageFull 507
    └── Unreachable (never on the wire: no answer came)

The server raises these where it knows of them and writes them in one place; the clients read them back
into the same classes, so that a runner says ``except LeaseLost``.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec


class ProjectWError(Exception):
    """Something that a user or a client program is told; the message is a sentence for people."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong in the server"
    retry_after: float | None = None
    """Seconds after which trying again makes sense."""

    def __init__(
        self, detail: str | None = None, /, *, retry_after: float | None = None, **extensions: Any
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extensions = extensions
        if retry_after is not None:
            self.retry_after = retry_after


class BadRequest(ProjectWError):
    status = 400
    code = "bad-request"
    title = "The request cannot be understood"


class WrongToken(BadRequest):
    code = "wrong-token"
    title = "This code is not valid, was used already, or has run out"


class Unauthorized(ProjectWError):
    status = 401
    code = "unauthorized"
    title = "Not signed in, or the sign-in is no longer valid"


class WrongPassword(Unauthorized):
    code = "wrong-password"
    title = "The e-mail address or the password is wrong"


class Forbidden(ProjectWError):
    status = 403
    code = "forbidden"
    title = "This account may not do that"


class InsufficientScope(Forbidden):
    code = "insufficient-scope"
    title = "This token may not do that"


class PasswordMismatch(Forbidden):
    """The password that was to be given once more; the sign-in itself is good, so it is no 401."""

    code = "password-mismatch"
    title = "The password is wrong"


class NotConfirmed(Forbidden):
    code = "not-confirmed"
    title = "The e-mail address of this account is not confirmed yet"


class NotOpen(Forbidden):
    code = "not-open"
    title = "This server does not offer that"


class QuotaExceeded(Forbidden):
    code = "quota-exceeded"
    title = "That would be more than this account may use"


class NotFound(ProjectWError):
    status = 404
    code = "not-found"
    title = "There is nothing here"


class MethodNotAllowed(ProjectWError):
    status = 405
    code = "method-not-allowed"
    title = "This route does not know that method"


class TooSlow(ProjectWError):
    status = 408
    code = "too-slow"
    title = "The request came too slowly"


class Conflict(ProjectWError):
    status = 409
    code = "conflict"
    title = "The request does not fit the present state"


class IllegalMove(Conflict):
    code = "illegal-move"
    title = "The job's state does not allow that"


class LeaseLost(Conflict):
    code = "lease-lost"
    title = "The lease on this job is not valid"


class SessionLost(Conflict):
    code = "session-lost"
    title = "Another registration has taken over this runner's token"


class Gap(Conflict):
    """Segments are missing in between; ``next`` is the index from which the server wants them."""

    code = "gap"
    title = "Segments are missing in between"

    @property
    def next(self) -> int:
        """The index of the first segment that the server does not have."""
        found = self.extensions.get("next")
        return found if isinstance(found, int) and found >= 0 else 0


class NotFinished(Conflict):
    code = "not-finished"
    title = "The job has not finished"


class KeyInUse(Conflict):
    code = "idempotency-key-in-use"
    title = "A request with this Idempotency-Key is under way"
    retry_after = 1.0


class TooLarge(ProjectWError):
    status = 413
    code = "too-large"
    title = "The recording is larger than this server accepts"


class TargetTooLong(ProjectWError):
    status = 414
    code = "target-too-long"
    title = "The address is longer than this server reads"


class UnsupportedMedia(ProjectWError):
    status = 415
    code = "unsupported-media"
    title = "This is no audio or video"


class RangeNotSatisfiable(ProjectWError):
    status = 416
    code = "range-not-satisfiable"
    title = "The range lies outside the file"


class ExpectationFailed(ProjectWError):
    status = 417
    code = "expectation-failed"
    title = "This server knows no other expectation than 100-continue"


class Misdirected(ProjectWError):
    status = 421
    code = "misdirected"
    title = "This server does not answer under that name"


class Invalid(ProjectWError):
    status = 422
    code = "invalid"
    title = "The request is not valid"


class KeyReused(Invalid):
    code = "idempotency-key-reused"
    title = "This Idempotency-Key belongs to a different request"


class WeakPassword(Invalid):
    code = "weak-password"
    title = "This password would be guessed"


class TooManyRequests(ProjectWError):
    status = 429
    code = "too-many-requests"
    title = "Too many requests"
    retry_after = 1.0


class TooManyTries(TooManyRequests):
    code = "too-many-tries"
    title = "Too many wrong passwords"


class TooManyJobs(TooManyRequests):
    code = "too-many-jobs"
    title = "As many jobs wait as this account may have waiting"
    retry_after = 60.0


class TooManyConnections(TooManyRequests):
    code = "too-many-connections"
    title = "This address has as many connections as it may"


class HeadersTooLarge(ProjectWError):
    status = 431
    code = "headers-too-large"
    title = "The head of the request is larger than this server reads"


class Internal(ProjectWError):
    """An error that the server did not expect; its log has the details under the same reference."""


class Unavailable(ProjectWError):
    status = 503
    code = "unavailable"
    title = "The server cannot answer just now"
    retry_after = 1.0


class Busy(Unavailable):
    code = "busy"
    title = "The server has more to do than it can"
    retry_after = 2.0


class StorageFull(ProjectWError):
    status = 507
    code = "storage-full"
    title = "The server has no room for this recording"


class Unreachable(ProjectWError):
    """No answer came: the address is wrong, the server is down, or the network is."""

    status = 0
    code = "unreachable"
    title = "The server cannot be reached"


class Problem(msgspec.Struct, frozen=True):
    """The body of every error answer, ``application/problem+json``."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def every_error() -> Iterator[type[ProjectWError]]:
    """Yield the whole tree, parents before children."""
    pending: list[type[ProjectWError]] = [ProjectWError]
    while pending:
        kind = pending.pop(0)
        yield kind
        pending += kind.__subclasses__()


def to_problem(error: ProjectWError) -> dict[str, Any]:
    """Return the problem document of ``error``, its extension members included."""
    problem = Problem(
        type=f"/problems/{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
    )
    return {**error.extensions, **msgspec.to_builtins(problem)}


def _class_of(status: int) -> type[ProjectWError]:
    if status in (502, 504):
        return Unavailable
    return Internal if status >= 500 else BadRequest


def kind_of(status: int) -> type[ProjectWError] | None:
    """Return the most general class of errors with that HTTP status, None when there is none."""
    kinds = (kind for kind in every_error() if kind is not ProjectWError)
    return next((kind for kind in kinds if kind.status == status), None)


def from_problem(status: int, body: bytes, *, retry_after: float | None = None) -> ProjectWError:
    """Read an error answer back into the class that the server raised.

    A code that this version does not know becomes the class of its status; a body that is no problem
    document (a proxy's page) becomes that class with a sentence of its own. A proxy's 502 and 504 are
    ``Unavailable``: the server behind it is just now away.
    """
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = {}
    code = document.get("code")
    named = (kind for kind in every_error() if kind is not ProjectWError and kind.code == code)
    kind = next(named, None) or kind_of(status) or _class_of(status)
    detail = str(document.get("detail") or f"{kind.title} (HTTP {status})")
    known = set(Problem.__struct_fields__)
    extensions = {key: value for key, value in document.items() if key not in known | {"retry_after"}}
    return kind(detail, retry_after=retry_after, **extensions)
