"""Who is calling: what the rest of the server needs to know of a caller, and nothing more."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A user. ``session_id`` is the sign-in that the request belongs to; None when there is no request."""

    id: str
    email: str
    is_admin: bool
    created_at: float
    session_id: str | None = None
    disabled: bool = False


@dataclass(frozen=True)
class RunnerIdentity:
    """A runner, known by its token. ``failures_in_row`` are the jobs that have just failed there."""

    id: str
    name: str
    failures_in_row: int = 0
