"""Whether a password would be guessed: estimated by zxcvbn from what people choose, not from classes of characters.

A minimum is one of zxcvbn's scores: 1 holds 10^3 guesses, 2 holds 10^6, 3 holds 10^8, 4 holds 10^10 (Wheeler, USENIX
Security 2016). 0 takes any password that is long enough.
"""

from collections.abc import Sequence
from typing import Any

from projectw_server.accounts.passwords import check_length
from projectw_server.accounts.threads import Threads
from projectw_shared.errors import WeakPassword

JUDGED_CHARACTERS = 24
"""Of each end of a password so many characters are looked at. The estimate takes 3 ms for what people write and, for
letters chosen to that end, 0.2 s for 24 characters, 2 s for 72."""

GOOD = 3
"""What is asked of a password unless a setting says otherwise."""

WAITING = 32

WORDS: dict[str, str] = {
    "dictionary": "it is made of words or passwords that are often used",
    "spatial": "it follows the keys of a keyboard",
    "repeat": "it repeats itself",
    "sequence": "it is a sequence such as abcd or 4321",
    "regex": "it is made of a year",
    "date": "it is made of a date",
}
"""By the kind of pattern that makes most of a password, what is wrong with it."""

OWN_WORDS = "it is made of your e-mail address"
ADVICE = "Take four or five words that have nothing to do with one another, or what a password manager makes"


class Strength:
    """Judges passwords, one at a time."""

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum
        # Not yielding: the estimate holds the interpreter's lock, and the event loop would wait for it.
        self._threads = Threads("strength", workers=1, waiting=WAITING)

    async def check(self, password: str, email: str) -> None:
        """Raise WeakPassword, with what would be better, when ``password`` of the owner of ``email`` would be guessed.

        Invalid when it is too short or too long.
        """
        check_length(password)
        if self._minimum:
            weakness = await self._threads.run(lambda: weakness_of(password, email, self._minimum))
            if weakness is not None:
                raise WeakPassword(f"This password would be guessed: {weakness}. {ADVICE}")

    def close(self) -> None:
        """Let the thread end."""
        self._threads.close()


def weakness_of(password: str, email: str, minimum: int) -> str | None:
    """Return what makes ``password`` weaker than ``minimum``, or None; ``email`` is what a stranger would try first."""
    own = _own_words(email)
    head, tail = password[:JUDGED_CHARACTERS], password[-JUDGED_CHARACTERS:]
    found = _judged(head, own)
    if found["score"] < minimum and head != tail:
        # A longer password is no weaker than its parts.
        found = max(found, _judged(tail, own), key=lambda each: float(each["guesses"]))
    return None if found["score"] >= minimum else _explained(found["sequence"])


def _judged(part: str, own: Sequence[str]) -> dict[str, Any]:
    # Imported here: 40 ms and some megabytes, which a server that signs nobody up does not need.
    from zxcvbn import zxcvbn

    result: dict[str, Any] = zxcvbn(part, user_inputs=list(own), max_length=JUDGED_CHARACTERS)
    return result


def _own_words(email: str) -> list[str]:
    name, _, domain = email.lower().partition("@")
    parts = name.replace(".", " ").replace("_", " ").replace("-", " ").split()
    return [email.lower(), name, domain, domain.partition(".")[0], *parts]


def _explained(sequence: Sequence[dict[str, Any]]) -> str:
    patterns = [match for match in sequence if match["pattern"] != "bruteforce"]
    if not patterns:
        return "it is too short"
    longest = max(patterns, key=lambda match: len(match["token"]))
    if longest.get("dictionary_name") == "user_inputs":
        return OWN_WORDS
    return WORDS.get(longest["pattern"], "it follows a pattern that is easy to guess")
