"""Every call that the terminal makes to the server, typed."""

from projectw_tui.client.accounts import Accounts
from projectw_tui.client.admin import Administration
from projectw_tui.client.connection import Client, save_transcript

__all__ = ["Accounts", "Administration", "Client", "save_transcript"]
