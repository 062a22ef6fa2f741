"""Where the configuration file is looked for."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from projectw_shared.config.mistakes import ConfigError, Mistake

VARIABLE = "PROJECTW_CONFIG"
_NAME = Path("projectw", "config.yaml")


def find(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read, or None when there is none.

    In this order: ``config``, the variable ``PROJECTW_CONFIG``, the user's XDG folder, the system's,
    ``/etc``, the current folder. A file that was named and is not there is a ConfigError; so is one that
    cannot be looked at, since going on without it would quietly start a different program.
    """
    named = config or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named is not None:
        named = named.expanduser()
        if not _is_there(named):
            origin = "" if config else f" ({VARIABLE} names it)"
            reason = "this is a folder; name the file in it" if named.is_dir() else "there is no such file"
            raise ConfigError([Mistake("", None, f"{reason}{origin}")], named)
        return named
    return next((place for place in places(environ) if _is_there(place)), None)


def places(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that are looked for when none is named, the first that exists wins."""
    home = environ.get("HOME")
    own = environ.get("XDG_CONFIG_HOME", "")
    system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    # A relative path in these variables is to be ignored (XDG Base Directory Specification, 0.8). A service
    # of a user without a home folder has no folder of its own to look in.
    if not own.startswith("/"):
        own = f"{home}/.config" if home else ""
    for folder in (own, *system):
        if folder.startswith("/"):
            yield folder / _NAME
    yield "/etc" / _NAME
    yield Path.cwd() / "config.yaml"


def _is_there(file: Path) -> bool:
    try:
        # Not is_file: a pipe, as a shell's <(…) makes it, is a file to read too.
        return file.exists() and not file.is_dir()
    except OSError as error:
        raise ConfigError([Mistake("", None, f"cannot be looked at: {error.strerror}")], file) from error
