"""Secrets that a program carries: recognised by their beginning and their end, kept as hashes.

A token is a prefix, 40 characters by chance (238 bits) and a checksum of 6 characters, all of it letters and digits:
whoever searches code for secrets that have leaked finds it by its form, without asking us.
"""

import hashlib
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_CHARACTERS = 40
CHECK_CHARACTERS = 6


def new_token(prefix: str) -> str:
    """Return a new token that begins with ``prefix``."""
    chance = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return f"{prefix}{chance}{checksum(chance)}"


def checksum(chance: str) -> str:
    """Return the checksum of a token's middle: its CRC-32 in base 62."""
    number, digits = zlib.crc32(chance.encode()), ""
    while number:
        number, rest = divmod(number, len(ALPHABET))
        digits = ALPHABET[rest] + digits
    return digits.rjust(CHECK_CHARACTERS, ALPHABET[0])


def digest(token: str) -> str:
    """Return the hash under which ``token`` is kept (SHA-256 in hexadecimal)."""
    # Not a password: what is drawn by chance from so many cannot be guessed, so a fast hash is enough.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
