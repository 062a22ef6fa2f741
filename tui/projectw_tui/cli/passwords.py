"""Asking for passwords and codes: hidden, or from standard input; never as an argument that others could see."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

password_stdin = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input."
)
passwords_stdin = click.option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help="Read the present and the new password from standard input, a line each.",
)


def present_password(from_stdin: bool, prompt: str = "Password") -> str:
    """Return a password that the person knows already. Raises UsageError without a terminal to ask on."""
    if from_stdin:
        return _line()
    _need_terminal("the password", "use --password-stdin")
    with interruptible():
        answer: str = click.prompt(prompt, hide_input=True, err=True)
    return answer


def new_password(from_stdin: bool, prompt: str = "New password") -> str:
    """Return a password that is to be, asked for twice on a terminal. Raises UsageError without one."""
    if from_stdin:
        given = _line()
        if not given:
            raise click.UsageError("there is no new password on standard input")
        return given
    _need_terminal("the password", "use --password-stdin")
    with interruptible():
        answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt="The same again", err=True)
    return answer


def asked_code() -> str:
    """Return the code from a mail. Raises UsageError without a terminal to ask on."""
    _need_terminal("the code", "give it with the command")
    with interruptible():
        answer: str = click.prompt("Code from the mail", err=True)
    return answer.strip()


def confirmed(question: str, *, yes: bool) -> None:
    """Ask ``question`` unless ``yes``; whoever says no ends the command. Raises UsageError without a terminal."""
    from projectw_shared.text import safe

    if not yes:
        _need_terminal("whether that is meant", "add --yes")
        with interruptible():
            click.confirm(safe(question), abort=True, err=True)


def typed_again(address: str, what: str, *, yes: bool) -> None:
    """Let the person type ``address`` unless ``yes``, as a proof that it is meant. Raises UsageError."""
    from projectw_shared.text import safe

    if yes:
        return
    _need_terminal("whether that is meant", "add --yes")
    with interruptible():
        answer: str = click.prompt(
            f"{safe(what)}\nType {safe(address)} to go on", err=True, prompt_suffix=": "
        )
    if answer.strip().casefold() != address.casefold():
        raise click.UsageError("that is another address; nothing was done")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question at once.

    Within ``asyncio.run`` a first one only asks the task to end, which waits for the answer.
    """
    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def has_terminal() -> bool:
    """Tell whether there is somebody to ask."""
    return sys.stdin.isatty()


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _need_terminal(what: str, remedy: str) -> None:
    if not has_terminal():
        raise click.UsageError(f"there is no terminal to ask for {what}: {remedy}")
