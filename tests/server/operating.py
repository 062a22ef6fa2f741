"""The command line as an operator types it."""

from pathlib import Path


def ours(config: Path, *arguments: str) -> list[str]:
    """Return the words after ``projectw-server``."""
    return ["--config", str(config), *arguments]
