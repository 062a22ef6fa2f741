"""What travels about people: accounts, sign-ins, tokens, quotas, and what admins see and do.

Like ``messages``: times are UTC datetimes, durations seconds, sizes bytes. A field that holds a secret is left
out of the type's ``repr``, so that it cannot reach a log by way of one.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import Count, JobError, Label, RunnerRef, Seconds
from projectw_shared.secrecy import Discreet

Password = Annotated[str, Meta(max_length=1024)]
EmailAddress = Annotated[str, Meta(min_length=1, max_length=320)]
Secret = Annotated[str, Meta(max_length=2000)]
Scope = Literal["read", "write"]

Reason = Annotated[str, Meta(min_length=10, max_length=1000, pattern=r"\S(\s*\S){9}")]
"""Why an admin reads what is somebody else's; a word would not say it, and blanks do not count."""

# --- signing in and out -----------------------------------------------------------------------------------


class Login(Discreet, frozen=True):
    """An attempt to sign in."""

    email: Annotated[str, Meta(max_length=320)]
    password: Password


class Refresh(Discreet, frozen=True):
    """A refresh token, which can be used once."""

    refresh_token: Secret


class Tokens(Discreet, frozen=True):
    """An access token to send, and a refresh token that can be used once, when it has run out."""

    access_token: str
    expires_in: Annotated[int, Meta(ge=0, le=2**31)]
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the scheme, not a secret


class SessionInfo(Struct, frozen=True):
    """A sign-in. ``address`` and ``client`` are those that began or last renewed it, ``current`` is the caller's."""

    id: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    address: str | None
    client: str | None
    current: bool


class SessionList(Struct, frozen=True):
    """The sign-ins of a user, those used last first."""

    sessions: list[SessionInfo]


# --- accounts ---------------------------------------------------------------------------------------------


class SignUp(Discreet, frozen=True):
    """A wish for an account."""

    email: EmailAddress
    password: Password


class Activation(Discreet, frozen=True):
    """The code from a mail, which proves that an address is one's own."""

    token: Secret


class ResetWish(Struct, frozen=True):
    """The address of an account whose password is forgotten."""

    email: EmailAddress


class Reset(Discreet, frozen=True):
    """The code from a mail, and the password that is to be."""

    token: Secret
    new_password: Password


class PasswordChange(Discreet, frozen=True):
    """The present password and the one that is to be."""

    password: Password
    new_password: Password


class EmailChange(Discreet, frozen=True):
    """The password, and the address that is to be; it counts once it is confirmed."""

    password: Password
    new_email: EmailAddress


class AccountDeletion(Discreet, frozen=True):
    """The password of the account that is to be deleted."""

    password: Password


class Quota(Struct, frozen=True):
    """What a user may use at most; null is without bound.

    ``audio_seconds`` is that of a calendar month (UTC), ``bytes`` what is stored at once, ``jobs`` what waits at once.
    """

    audio_seconds: Seconds | None = None
    bytes: Count | None = None
    jobs: Count | None = None


class Usage(Struct, frozen=True):
    """What a user uses: seconds of audio this month (UTC), bytes stored, jobs that wait."""

    audio_seconds: float = 0.0
    bytes: int = 0
    jobs: int = 0


class User(Struct, frozen=True):
    """An account, to its owner. ``unconfirmed_email`` is the address that waits for its code, if one does."""

    id: str
    email: str
    is_admin: bool
    created_at: datetime
    confirmed: bool = True
    unconfirmed_email: str | None = None
    quota: Quota = Quota()
    usage: Usage = Usage()


# --- API tokens -------------------------------------------------------------------------------------------


class NewToken(Struct, frozen=True):
    """A wish for an API token: ``read`` lets it look, ``write`` lets it do what its owner can do with jobs."""

    name: Label
    scope: Scope = "read"
    expires_at: datetime | None = None


class ApiToken(Struct, frozen=True):
    """An API token, without its secret."""

    id: str
    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class CreatedToken(Discreet, frozen=True):
    """An API token with its secret, which is shown this once."""

    id: str
    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    token: str


class ApiTokenList(Struct, frozen=True):
    """The API tokens of a user, the newest first."""

    tokens: list[ApiToken]


# --- what admins see and do -------------------------------------------------------------------------------


class NewUser(Discreet, frozen=True):
    """An account that an admin makes; it needs no confirmation."""

    email: EmailAddress
    password: Password
    is_admin: bool = False


class UserChange(Discreet, frozen=True):
    """What an admin changes of an account; what is left out stays. A null quota is the installation's own."""

    disabled: bool | UnsetType = UNSET
    is_admin: bool | UnsetType = UNSET
    quota: Quota | UnsetType | None = UNSET
    new_password: Password | UnsetType = UNSET


class AdminUser(Struct, frozen=True):
    """An account, to an admin. ``quota`` is the one in force, ``has_own_quota`` says that it was set for this user."""

    id: str
    email: str
    is_admin: bool
    disabled: bool
    confirmed: bool
    created_at: datetime
    quota: Quota
    has_own_quota: bool
    usage: Usage


class AdminUserList(Struct, frozen=True):
    """A page of accounts, the newest first."""

    users: list[AdminUser]
    next_cursor: str | None


class Owner(Struct, frozen=True):
    """Whose a job is."""

    id: str
    email: str


class AdminJob(Struct, frozen=True):
    """A job, to an admin: everything but its text. The prompt is left out of ``settings``, for it may tell of that."""

    id: str
    owner: Owner
    file_name: str
    bytes: int
    duration: float | None
    state: JobState
    cancel_requested: bool
    settings: JobSettings
    language: str | None
    runner: RunnerRef | None
    attempts: int
    error: JobError | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class AdminJobList(Struct, frozen=True):
    """A page of everybody's jobs, the newest first."""

    jobs: list[AdminJob]
    next_cursor: str | None


class AuditEntry(Struct, frozen=True):
    """Something that was done: by whom, from where, to what. ``number`` and ``hash`` are null until it is sealed."""

    number: int | None
    at: datetime
    actor_kind: str
    actor_id: str | None
    address: str | None
    action: str
    object_id: str | None
    details: dict[str, Any]
    hash: str | None


class AuditList(Struct, frozen=True):
    """A page of the audit log, the newest first."""

    entries: list[AuditEntry]
    next_cursor: str | None


class DisclosureWish(Struct, frozen=True):
    """Why an admin has to read somebody's transcript, and in what format; its owner is told."""

    reason: Reason
    format: str = "txt"


class Disclosure(Struct, frozen=True):
    """That an admin has read a transcript, to its owner."""

    id: str
    at: datetime
    job_id: str
    file_name: str | None
    admin: str | None
    reason: str


class DisclosureList(Struct, frozen=True):
    """What admins have read of a user's, the newest first."""

    disclosures: list[Disclosure]
