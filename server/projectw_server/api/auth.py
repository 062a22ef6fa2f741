"""Signing in, staying signed in, signing out."""

from projectw_server.accounts.principals import Grant, Person
from projectw_server.api.context import services
from projectw_server.api.doors import Doors
from projectw_server.api.identity import Who, own_session
from projectw_shared import routes
from projectw_shared.accounts import Activation, Login, Refresh, Reset, ResetWish, SignUp, Tokens

doors = Doors("auth")


@doors.door("POST", routes.LOGIN, Who.ANYONE, takes=Login, gives=Tokens, tight=True, hashes=True)
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


@doors.door("POST", routes.SIGNUP, Who.ANYONE, takes=SignUp, status=202, tight=True, hashes=True)
async def sign_up(body: SignUp) -> None:
    """Ask for an account; a code to confirm the address is sent there. The answer is the same for every address."""
    await services().confirming.sign_up(body.email, body.password)


@doors.door("POST", routes.ACTIVATE, Who.ANYONE, takes=Activation, status=204, tight=True)
async def activate(body: Activation) -> None:
    """Confirm the address that a code was sent to.

    That of an account which has another one already takes its place; every sign-in of the account ends, except the one
    that this request may come with.
    """
    await services().confirming.activate(body.token, await own_session())


@doors.door(
    "POST",
    routes.ACTIVATE_RESEND,
    Who.USER,
    status=202,
    grant=Grant.SIGN_IN,
    unconfirmed=True,
    tight=True,
)
async def resend_activation(person: Person) -> None:
    """Have another code sent to the address that waits to be confirmed; the one before is then good no more."""
    await services().confirming.resend(person)


@doors.door("POST", routes.PASSWORD_RESET, Who.ANYONE, takes=ResetWish, status=202, tight=True)
async def ask_reset(body: ResetWish) -> None:
    """Have a code sent with which the password can be set. The answer is the same for every address."""
    await services().confirming.ask_reset(body.email)


@doors.door(
    "POST", routes.PASSWORD_RESET_CONFIRM, Who.ANYONE, takes=Reset, status=204, tight=True, hashes=True
)
async def reset_password(body: Reset) -> None:
    """Set a new password by a code; every session and every API token of the account ends."""
    await services().confirming.reset(body.token, body.new_password)
