"""Signing in, staying signed in, signing out."""

from projectw_server.accounts.principals import Grant, Person
from projectw_server.api.context import services
from projectw_server.api.doors import Doors
from projectw_server.api.identity import Who
from projectw_shared import routes
from projectw_shared.accounts import Login, Refresh, Tokens

doors = Doors("auth")


@doors.door("POST", routes.LOGIN, Who.ANYONE, takes=Login, gives=Tokens, tight=True)
async def login(body: Login) -> Tokens:
    """Sign in with an e-mail address and a password."""
    return await services().sessions.login(body.email, body.password)


@doors.door("POST", routes.REFRESH, Who.ANYONE, takes=Refresh, gives=Tokens, tight=True)
async def refresh(body: Refresh) -> Tokens:
    """Get new tokens for a refresh token, which can be used once; its second use ends the session."""
    return await services().sessions.refresh(body.refresh_token)


@doors.door("POST", routes.LOGOUT, Who.USER, status=204, grant=Grant.SIGN_IN, unconfirmed=True)
async def logout(person: Person) -> None:
    """End this session: its tokens are refused from now on."""
    assert person.session_id is not None, "a request of a user comes with a session"
    await services().sessions.logout(person.session_id)


@doors.door("POST", routes.LOGOUT_ALL, Who.USER, status=204, grant=Grant.SIGN_IN, unconfirmed=True)
async def logout_all(person: Person) -> None:
    """End every session of the user, this one too."""
    await services().sessions.logout_all(person)
