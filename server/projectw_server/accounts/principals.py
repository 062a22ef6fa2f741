"""Who is calling: what the rest of the server needs to know of a caller, and nothing more."""

from dataclasses import dataclass
from enum import IntEnum


class Grant(IntEnum):
    """What a credential lets its bearer do; each includes those before it.

    A token that reads only looks, one that writes does what its owner can do with jobs, and a sign-in alone may
    change the account itself: whoever finds a token in a script cannot make himself at home with it.
    """

    READ = 1
    WRITE = 2
    SIGN_IN = 3


@dataclass(frozen=True)
class Person:
    """A user. ``session_id`` is the sign-in that the request belongs to, ``token_id`` the API token, if it is one's.

    Both are None when there is no request. One who is not ``confirmed`` has not shown yet that the address is his own;
    ``unconfirmed_email`` is what he signed up with, or afterwards the one that is to be the next.
    """

    id: str
    email: str
    is_admin: bool
    created_at: float
    session_id: str | None = None
    disabled: bool = False
    confirmed: bool = True
    unconfirmed_email: str | None = None
    token_id: str | None = None
    grant: Grant = Grant.SIGN_IN


@dataclass(frozen=True)
class RunnerIdentity:
    """A runner, known by its token. ``failures_in_row`` are the jobs that have just failed there."""

    id: str
    name: str
    failures_in_row: int = 0
