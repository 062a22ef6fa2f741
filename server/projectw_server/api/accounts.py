"""The account of the person who asks: what it is, what may be changed of it, its sign-ins and its tokens."""

from projectw_server.accounts.principals import Grant, Person
from projectw_server.api.context import services
from projectw_server.api.doors import Doors
from projectw_server.api.identity import Who
from projectw_shared import routes
from projectw_shared.accounts import (
    AccountDeletion,
    ApiTokenList,
    CreatedToken,
    DisclosureList,
    EmailChange,
    NewToken,
    PasswordChange,
    SessionList,
    User,
)
from projectw_shared.jobs import JobSettings

doors = Doors("accounts")

SIGN_IN = Grant.SIGN_IN


@doors.door("GET", routes.ME, Who.USER, gives=User, unconfirmed=True)
async def me(person: Person) -> User:
    """Tell who is signed in, what the account may use and what it does."""
    return await services().people.of(person)


@doors.door(
    "DELETE",
    routes.ME,
    Who.USER,
    takes=AccountDeletion,
    status=204,
    grant=SIGN_IN,
    unconfirmed=True,
    tight=True,
    hashes=True,
)
async def delete_me(person: Person, body: AccountDeletion) -> None:
    """Delete the account with all that it owns: jobs, recordings, transcripts, tokens."""
    await services().sessions.check_password(person, body.password)
    await services().erasing.erase(person.id)


@doors.door(
    "POST",
    routes.MY_PASSWORD,
    Who.USER,
    takes=PasswordChange,
    status=204,
    grant=SIGN_IN,
    tight=True,
    hashes=True,
)
async def change_password(person: Person, body: PasswordChange) -> None:
    """Change the password; every other sign-in ends."""
    await services().sessions.check_password(person, body.password)
    await services().changes.password(person, body.new_password)


@doors.door(
    "POST", routes.MY_EMAIL, Who.USER, takes=EmailChange, status=204, grant=SIGN_IN, tight=True, hashes=True
)
async def change_email(person: Person, body: EmailChange) -> None:
    """Send a code to another address, which becomes the account's when the code is entered."""
    await services().sessions.check_password(person, body.password)
    services().confirming.check_change(person, body.new_email)
    await services().changes.email(person, body.new_email)


@doors.door("GET", routes.MY_DEFAULTS, Who.USER, gives=JobSettings)
async def get_defaults(person: Person) -> JobSettings:
    """Return the settings that the user's jobs begin with."""
    return await services().changes.defaults(person)


@doors.door("PUT", routes.MY_DEFAULTS, Who.USER, takes=JobSettings, gives=JobSettings)
async def put_defaults(person: Person, body: JobSettings) -> JobSettings:
    """Let the user's jobs begin with these settings; jobs that are submitted without any get them."""
    services().jobs.check_settings(person, body)
    return await services().changes.set_defaults(person, body)


@doors.door("GET", routes.MY_DISCLOSURES, Who.USER, gives=DisclosureList)
async def list_disclosures(person: Person) -> DisclosureList:
    """List which transcripts of the user admins have read, and why."""
    return await services().disclosures.of(person)


@doors.door("GET", routes.SESSIONS, Who.USER, gives=SessionList, grant=SIGN_IN, unconfirmed=True)
async def list_sessions(person: Person) -> SessionList:
    """List the user's sign-ins."""
    return await services().sessions.list(person)


@doors.door("DELETE", routes.SESSION, Who.USER, status=204, grant=SIGN_IN, unconfirmed=True)
async def revoke_session(person: Person, id: str) -> None:
    """End one of the user's sign-ins: its tokens are refused from now on."""
    await services().sessions.revoke(person, id)


@doors.door("GET", routes.TOKENS, Who.USER, gives=ApiTokenList)
async def list_tokens(person: Person) -> ApiTokenList:
    """List the user's API tokens, without their secrets."""
    return await services().api_tokens.list(person)


@doors.door("POST", routes.TOKENS, Who.USER, takes=NewToken, gives=CreatedToken, status=201, grant=SIGN_IN)
async def create_token(person: Person, body: NewToken) -> CreatedToken:
    """Make an API token; its secret is shown this once."""
    return await services().api_tokens.create(person, body)


@doors.door("DELETE", routes.TOKEN, Who.USER, status=204, grant=SIGN_IN)
async def revoke_token(person: Person, id: str) -> None:
    """Take an API token back: it is refused from now on."""
    await services().api_tokens.revoke(person, id)
