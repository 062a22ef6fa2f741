"""The account itself: address, quota and use, and what can be changed of it."""

from collections.abc import Callable, Mapping

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from projectw_shared.accounts import User
from projectw_shared.errors import Unauthorized
from projectw_shared.text import safe
from projectw_tui import codes
from projectw_tui.client import Client
from projectw_tui.messages import PersonKnown, SignedOut
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.form import Field, FormScreen, twice
from projectw_tui.screens.panes import Pane
from projectw_tui.widgets.usage_bars import UsageBars


class OverviewPane(Pane):
    """Facts above, deeds below."""

    TITLE = "Account"

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._user: User | None = None

    def compose(self) -> ComposeResult:
        """Lay out facts and deeds."""
        yield Static(Content("Reading …"), id="account-facts")
        yield UsageBars(id="account-usage")
        yield OptionList(id="account-deeds", compact=True)

    def begin(self) -> None:
        """Begin with the deeds."""
        self.query_one(OptionList).focus()

    async def read(self) -> None:
        """Show the account."""
        user = await self.client.accounts.me()
        known, self._user = self._user, user
        self.query_one("#account-facts", Static).update(Content("\n".join(_facts(user))))
        self.query_one(UsageBars).show(user.quota, user.usage)
        if known is None or known.unconfirmed_email != user.unconfirmed_email:
            self._offer(user)
        if known is None or known.email != user.email:
            self.app.post_message(PersonKnown(user))

    def _offer(self, user: User) -> None:
        options = self.query_one(OptionList)
        chosen = options.highlighted_option.id if options.highlighted_option is not None else None
        options.clear_options()
        waits = user.unconfirmed_email
        if waits:
            options.add_option(Option(Content(f"Enter the code that was sent to {safe(waits)}"), "code"))
            options.add_option(Option(Content("Send that code again"), "resend"))
        options.add_options([Option(Content(words), name) for name, words in DEEDS.items()])
        # By its name: an Enter that is just being pressed must not fall on the deed that took its place.
        names = [option.id for option in options.options]
        options.highlighted = names.index(chosen) if chosen in names else 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Do it."""
        event.stop()
        deeds: dict[str | None, Callable[[], object]] = {
            "code": lambda: self.do(self._enter_code),
            "resend": lambda: self.do(self._resend),
            "password": lambda: self.do(self._change_password),
            "email": lambda: self.do(self._change_email),
            "everywhere": lambda: self.do(self._log_out_everywhere),
            "delete": lambda: self.do(self._delete),
            "logout": lambda: self.app.call_later(self.app.run_action, "log_out"),
        }
        deeds[event.option_id]()

    async def _enter_code(self) -> str | None:
        async def send(values: Mapping[str, str]) -> str:
            await self.client.accounts.activate(values["code"])
            return "The address is confirmed."

        form = FormScreen(
            "Confirm the new address",
            "Paste the code from the mail. All your other sessions end then.",
            [Field("code", "Code")],
            "Confirm",
            send,
        )
        done = await self.app.push_screen_wait(form)
        if done is None:
            return None
        try:
            await self.client.accounts.me()
        except Unauthorized:
            self.app.post_message(SignedOut("The new address is confirmed: sign in with it."))
            return None
        return done

    async def _resend(self) -> str:
        self.status.busy()
        await self.client.accounts.resend_code()
        return codes.sent_again(await self.client.about())

    async def _change_password(self) -> str | None:
        async def send(values: Mapping[str, str]) -> str:
            await self.client.accounts.change_password(values["present"], twice(values))
            return "The password is changed, and all other sessions have ended."

        fields = [
            Field("present", "Present", hidden=True),
            Field("new", "New", hidden=True),
            Field("again", "New again", hidden=True),
        ]
        form = FormScreen("Change the password", "All your other sessions end.", fields, "Change", send)
        return await self.app.push_screen_wait(form)

    async def _change_email(self) -> str | None:
        async def send(values: Mapping[str, str]) -> str:
            await self.client.accounts.change_email(values["present"], values["email"])
            return codes.sent(values["email"], await self.client.about())

        fields = [Field("email", "New address"), Field("present", "Password", hidden=True)]
        form = FormScreen(
            "Change the address",
            "A code is sent to the new address; it counts once you have entered that code here.",
            fields,
            "Send the code",
            send,
        )
        return await self.app.push_screen_wait(form)

    async def _log_out_everywhere(self) -> None:
        question = ConfirmScreen(
            "Log out everywhere?", "Your sessions on all machines end, this one too.", "Log out"
        )
        if await self.app.push_screen_wait(question):
            self.status.busy()
            await self.client.accounts.log_out_everywhere()
            self.app.post_message(SignedOut("You are logged out everywhere."))

    async def _delete(self) -> None:
        user = self._user
        if user is None:
            return
        address = user.email

        async def send(values: Mapping[str, str]) -> bool:
            if values["address"].casefold() != address.casefold():
                raise ValueError("That is not the address of this account")
            await self.client.accounts.delete(values["present"])
            return True

        fields = [Field("address", "Address"), Field("present", "Password", hidden=True)]
        form = FormScreen(
            "Delete the account?",
            f"Every recording and transcript, all sessions and tokens go with it, for good.\nType {address} to go on.",
            fields,
            "Delete",
            send,
            dangerous=True,
        )
        if await self.app.push_screen_wait(form):
            self.app.post_message(SignedOut("Your account is deleted."))


DEEDS = {
    "password": "Change the password",
    "email": "Change the address",
    "logout": "Log out",
    "everywhere": "Log out everywhere",
    "delete": "Delete the account",
}


def _facts(user: User) -> list[str]:
    facts = [f"{'Address':<18}{safe(user.email)}" + ("  (admin)" if user.is_admin else "")]
    if user.unconfirmed_email:
        facts.append(f"{'To be':<18}{safe(user.unconfirmed_email)}  (waits for its code)")
    return [*facts, f"{'Since':<18}{user.created_at:%Y-%m-%d}"]
