"""Paths with an id in them."""

from projectw_shared.errors import ProjectWError


def path_of(route: str, identity: str, what: str = "job") -> str:
    """Fill in an id; what is no id must not become another path. Raises ProjectWError."""
    if not (identity.isascii() and identity.replace("-", "").isalnum()):
        raise ProjectWError(f"{identity!r} is no {what} id")
    return route.replace("{id}", identity)
