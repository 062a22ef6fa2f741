"""Finding the one thing that a person means by a part of its id, or by its name."""

from collections.abc import Iterable

import click

from projectw_shared.errors import NotFound

ENOUGH = 5
"""How many candidates are told when a part of an id fits several."""


def the_one(text: str, ids: Iterable[str], what: str, *, names: Iterable[tuple[str, str]] = ()) -> str:
    """Return the id that ``text`` is, or is the end or the beginning of; first the id of which it is a name.

    ``names`` are pairs of a name and an id. Ids of another form are passed over: raw, they would reach the terminal.
    Raises NotFound, UsageError when several fit.
    """
    from projectw_shared.ids import is_id

    named = {identity for name, identity in names if name == text and is_id(identity)}
    if len(named) == 1:
        return named.pop()
    if named:
        raise click.UsageError(f"{len(named)} {what}s have that name; give the id: {_some(named)}")
    wanted = text.strip().lower()
    found = {each for each in ids if is_id(each) and (each.endswith(wanted) or each.startswith(wanted))}
    if not wanted or not found:
        raise NotFound(f"There is no {what} whose id begins or ends with {text}.")
    if len(found) > 1:
        raise click.UsageError(f"{text} fits {len(found)} {what}s; give more of the id: {_some(found)}")
    return found.pop()


def _some(ids: set[str]) -> str:
    return ", ".join(sorted(ids)[:ENOUGH])
