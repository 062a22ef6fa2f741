"""Pages of lists: where one ends, and what is looked for in them."""

import base64
import binascii

from projectw_server.db import Conditions
from projectw_shared.errors import Invalid
from projectw_shared.ids import is_id


def cursor_at(id: str) -> str:
    """Return the cursor of a page that ends with the id."""
    return base64.urlsafe_b64encode(id.encode()).decode().rstrip("=")


def position_of(cursor: str) -> str:
    """Return the id with which the page before ended. Raises Invalid."""
    try:
        id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        id = ""
    if not is_id(id):
        raise Invalid("This cursor is not one of ours; begin again without it")
    return id


def containing(text: str) -> str:
    """Return the pattern for LIKE, with a backslash as ESCAPE, that fits what contains ``text``."""
    literal = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literal}%"


def add_search(conditions: Conditions, column: str, text: str) -> None:
    """Want rows in which ``text`` stands there, in small letters or large ones.

    SQLite lowers ASCII only: a name with an "Ü" is found as it is written.
    """
    conditions.add(
        f"({column} LIKE {{}} ESCAPE '\\' OR LOWER({column}) LIKE {{}} ESCAPE '\\')",
        containing(text),
        containing(text.lower()),
    )
