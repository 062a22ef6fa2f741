"""Codes that are sent by mail: random, easy to paste and possible to type, and known afterwards by their hash alone."""

import secrets

from projectw_server.accounts import secret_tokens

PREFIX = "pwm_"
"""Lets scanners for secrets know one."""

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: without i, l, o and u, so that nothing is taken for something else."""

GROUPS = 7
GROUP_CHARACTERS = 4
CHARACTERS = GROUPS * GROUP_CHARACTERS
"""5 bits each, so 140: nobody finds one by trying."""

MAX_CHARACTERS = 200
"""Of what is longer nothing is looked at."""

_READ = str.maketrans({"i": "1", "l": "1", "o": "0"})


def new_code() -> str:
    """Return a code, such as ``pwm_4k2t-9xqd-…``."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_CHARACTERS)) for _ in range(GROUPS))
    return PREFIX + "-".join(groups)


def digest(code: str) -> str:
    """Return the hash under which ``code`` is known, however it was typed: case, blanks and hyphens do not count.

    What is no code at all has a hash too, which no code has.
    """
    return secret_tokens.digest(_canonical(code))


def _canonical(code: str) -> str:
    typed = "".join(code[:MAX_CHARACTERS].split()).lower().removeprefix(PREFIX)
    return typed.replace("-", "").translate(_READ)
