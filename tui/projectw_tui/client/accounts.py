"""The calls about accounts: one's own, its sign-ins, its tokens."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from projectw_shared import routes
from projectw_shared.accounts import (
    AccountDeletion,
    Activation,
    ApiToken,
    ApiTokenList,
    CreatedToken,
    Disclosure,
    DisclosureList,
    EmailChange,
    NewToken,
    PasswordChange,
    Reset,
    ResetWish,
    SessionInfo,
    SessionList,
    SignUp,
    User,
)
from projectw_shared.errors import Unauthorized
from projectw_shared.http import Api
from projectw_shared.jobs import JobSettings
from projectw_tui.client.paths import path_of


class Accounts:
    """What a person asks about accounts.

    ``is_signed_in`` tells whether a session is kept here, ``forget`` lets go of it.
    """

    def __init__(
        self,
        anonymous: Api,
        api: Api,
        is_signed_in: Callable[[], Awaitable[bool]],
        forget: Callable[[], Awaitable[None]],
    ) -> None:
        self._anonymous = anonymous
        self._api = api
        self._is_signed_in = is_signed_in
        self._forget = forget

    # --- without a session --------------------------------------------------------------------------------

    async def sign_up(self, email: str, password: str) -> None:
        """Ask for an account; the answer is the same whether or not the address has one already."""
        await self._anonymous.call("POST", routes.SIGNUP, body=SignUp(email, password), reply=type(None))

    async def activate(self, code: str) -> None:
        """Prove with the code from a mail that an address is one's own; the session that is kept here stays."""
        body = Activation(code)
        if await self._is_signed_in():
            with suppress(Unauthorized):  # that session is over; the code does not need it
                return await self._api.call("POST", routes.ACTIVATE, body=body, reply=type(None))
        return await self._anonymous.call("POST", routes.ACTIVATE, body=body, reply=type(None))

    async def ask_for_reset(self, email: str) -> None:
        """Ask for a code to set a new password with; the answer is the same for unknown addresses."""
        await self._anonymous.call("POST", routes.PASSWORD_RESET, body=ResetWish(email), reply=type(None))

    async def reset(self, code: str, new_password: str) -> None:
        """Set a new password with the code from a mail; ends every session of the account."""
        body = Reset(code, new_password)
        await self._anonymous.call("POST", routes.PASSWORD_RESET_CONFIRM, body=body, reply=type(None))

    # --- one's own ----------------------------------------------------------------------------------------

    async def me(self) -> User:
        """Return the account that is signed in."""
        return await self._api.call("GET", routes.ME, reply=User)

    async def resend_code(self) -> None:
        """Ask for another mail with the code for the address that waits for one."""
        await self._api.call("POST", routes.ACTIVATE_RESEND, reply=type(None))

    async def change_password(self, password: str, new_password: str) -> None:
        """Change the password; ends all other sessions."""
        body = PasswordChange(password, new_password)
        await self._api.call("POST", routes.MY_PASSWORD, body=body, reply=type(None))

    async def change_email(self, password: str, new_email: str) -> None:
        """Ask for another address; it counts once it is confirmed with the code sent to it."""
        body = EmailChange(password, new_email)
        await self._api.call("POST", routes.MY_EMAIL, body=body, reply=type(None))

    async def delete(self, password: str) -> None:
        """Delete the account with all that it owns, and forget its session here."""
        body = AccountDeletion(password)
        # Not tried again by itself: a second try would find no account and tell of a failure.
        await self._api.call("DELETE", routes.ME, body=body, reply=type(None), repeatable=False)
        await self._forget()

    async def log_out_everywhere(self) -> None:
        """End every session of the account, and forget the one here."""
        await self._api.call("POST", routes.LOGOUT_ALL, reply=type(None))
        await self._forget()

    async def defaults(self) -> JobSettings:
        """Return the settings that the person's jobs begin with."""
        return await self._api.call("GET", routes.MY_DEFAULTS, reply=JobSettings)

    async def set_defaults(self, settings: JobSettings) -> None:
        """Choose the settings that the person's jobs begin with."""
        await self._api.call("PUT", routes.MY_DEFAULTS, body=settings, reply=type(None))

    async def disclosures(self) -> list[Disclosure]:
        """Return what admins have read of the person's, newest first."""
        return (await self._api.call("GET", routes.MY_DISCLOSURES, reply=DisclosureList)).disclosures

    # --- sign-ins and tokens ------------------------------------------------------------------------------

    async def sessions(self) -> list[SessionInfo]:
        """Return the person's sign-ins, those used last first."""
        return (await self._api.call("GET", routes.SESSIONS, reply=SessionList)).sessions

    async def revoke_session(self, session_id: str) -> None:
        """End a sign-in."""
        path = path_of(routes.SESSION, session_id, "session")
        await self._api.call("DELETE", path, reply=type(None))

    async def tokens(self) -> list[ApiToken]:
        """Return the person's API tokens, newest first, without their secrets."""
        return (await self._api.call("GET", routes.TOKENS, reply=ApiTokenList)).tokens

    async def create_token(self, wish: NewToken) -> CreatedToken:
        """Make an API token; its secret is in the answer and never again."""
        return await self._api.call("POST", routes.TOKENS, body=wish, reply=CreatedToken)

    async def revoke_token(self, token_id: str) -> None:
        """End an API token."""
        await self._api.call("DELETE", path_of(routes.TOKEN, token_id, "token"), reply=type(None))
