"""What to tell a person of a failure."""

import asyncio

from projectw_shared.errors import ProjectWError


def sentence(error: BaseException) -> str:
    """Return what to tell a person of ``error``."""
    if isinstance(error, ProjectWError):
        return error.detail
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, asyncio.TimeoutError):
        return "Another program holds the session; try again."
    return str(error)
