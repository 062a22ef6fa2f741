"""Pages of lists: where one ends, and what is looked for in them."""

import base64
import binascii

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


def escaped(text: str) -> str:
    """Take LIKE's meaning from the characters that have one."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
