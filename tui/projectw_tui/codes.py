"""Telling people where the code is that they need: in a mail, or with the operator of a server that sends none."""

from projectw_shared.messages import About


def sent(address: str, about: About) -> str:
    """Return where the code is that confirms ``address``."""
    if about.mail:
        return f"A mail with a code is on its way to {address}."
    return f"This server sends no mail: ask its operator for the code for {address}."


def sent_again(about: About) -> str:
    """Return where another code is than the one before."""
    if about.mail:
        return "Another mail is on its way; the code of the one before counts no longer."
    return "This server sends no mail: ask its operator for another code."


def sent_to_reset(address: str, about: About) -> str:
    """Return where the code is with which a new password is set, if ``address`` is that of an account."""
    if about.mail:
        return f"If {address} has an account here, a mail with a code is on its way; it counts for an hour."
    return f"This server sends no mail: if {address} has an account here, ask its operator for the code."
