"""What admins see and do: accounts, everybody's jobs, the audit log."""

from typing import Annotated

from msgspec import Meta, Struct
from quart import Response

from projectw_server.accounts.principals import Person
from projectw_server.api.admission import Urgency
from projectw_server.api.context import services
from projectw_server.api.doors import Doors
from projectw_server.api.files import disposition
from projectw_server.api.identity import Who
from projectw_server.api.jobs import check_format, states_of
from projectw_shared import routes
from projectw_shared.accounts import (
    AdminJobList,
    AdminUser,
    AdminUserList,
    AuditList,
    DisclosureWish,
    NewUser,
    UserChange,
)
from projectw_shared.errors import Conflict
from projectw_shared.formats import MEDIA_TYPES

doors = Doors("admin")

HEAVY = Urgency.HEAVY

Limit = Annotated[int, Meta(ge=1, le=200)]
Cursor = Annotated[str, Meta(max_length=200)]
Words = Annotated[str, Meta(max_length=320)]
Id = Annotated[str, Meta(max_length=36)]


class UserQuery(Struct, frozen=True):
    """What to list: ``q`` is a part of an address, or an id."""

    q: Words | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class AdminJobQuery(Struct, frozen=True):
    """What to list: ``state`` may name several with commas between, ``owner`` is a user's id, ``q`` part of a name."""

    state: str | None = None
    owner: Id | None = None
    q: Words | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class AuditQuery(Struct, frozen=True):
    """What to list: entries of one ``action``, of one ``actor`` (the id of a user or a runner)."""

    action: Annotated[str, Meta(max_length=40)] | None = None
    actor: Id | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@doors.door("GET", routes.ADMIN_USERS, Who.ADMIN, query=UserQuery, gives=AdminUserList, urgency=HEAVY)
async def list_users(person: Person, query: UserQuery) -> AdminUserList:
    """List the accounts, the newest first."""
    return await services().people.page(text=query.q, limit=query.limit, cursor=query.cursor)


@doors.door("POST", routes.ADMIN_USERS, Who.ADMIN, takes=NewUser, gives=AdminUser, status=201)
async def create_user(person: Person, body: NewUser) -> AdminUser:
    """Make an account, which needs no confirmation."""
    await services().changes.check_strength(body.password, body.email)
    made = await services().users.add(body.email, body.password, is_admin=body.is_admin)
    return await services().people.get(made.id)


@doors.door("PATCH", routes.ADMIN_USER, Who.ADMIN, takes=UserChange, gives=AdminUser)
async def change_user(person: Person, id: str, body: UserChange) -> AdminUser:
    """Disable or enable an account, make its user an admin or none, set its quota, replace its password.

    Disabling cancels the jobs of the account that wait or are under way.
    """
    await services().changes.of_user(id, body)
    if body.disabled is True:
        await services().jobs.cancel_of_disabled()
    return await services().people.get(id)


@doors.door("DELETE", routes.ADMIN_USER, Who.ADMIN, status=204)
async def delete_user(person: Person, id: str) -> None:
    """Delete an account with all that it owns."""
    if id == person.id:
        raise Conflict("This is your own account: delete it as its owner, with your password")
    await services().erasing.erase(id)


@doors.door("GET", routes.ADMIN_JOBS, Who.ADMIN, query=AdminJobQuery, gives=AdminJobList, urgency=HEAVY)
async def list_all_jobs(person: Person, query: AdminJobQuery) -> AdminJobList:
    """List everybody's jobs, the newest first, without their text."""
    return await services().all_jobs.page(
        states=states_of(query.state),
        owner_id=query.owner,
        text=query.q,
        limit=query.limit,
        cursor=query.cursor,
    )


@doors.door(
    "POST",
    routes.ADMIN_JOB_TRANSCRIPT,
    Who.ADMIN,
    takes=DisclosureWish,
    produces=tuple(MEDIA_TYPES.values()),
)
async def disclose_transcript(person: Person, id: str, body: DisclosureWish) -> Response:
    """Read somebody's transcript, where the operator allows it; its owner is told, with the reason."""
    check_format(body.format)
    text, name = await services().disclosures.disclose(person, id, body.reason, body.format)
    headers = {"Content-Disposition": disposition(f"{name}.{body.format}")}
    return Response(text, headers=headers, content_type=MEDIA_TYPES[body.format])


@doors.door("GET", routes.ADMIN_AUDIT, Who.ADMIN, query=AuditQuery, gives=AuditList, urgency=HEAVY)
async def list_audit(person: Person, query: AuditQuery) -> AuditList:
    """List what was done, the newest first."""
    return await services().audit.page(
        action=query.action, actor_id=query.actor, limit=query.limit, cursor=query.cursor
    )
