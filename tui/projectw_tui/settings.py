"""The ``tui:`` section of the configuration."""

from pathlib import Path
from typing import Literal

import msgspec


class TuiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the terminal program may be told. Every setting has a default that works with a local server.

    ``server_url``: address of the server. ``ca_file``: PEM file with its certificate authority.
    ``allow_plain_http``: accept ``http:`` to another machine, which sends everything unencrypted.
    ``theme``: ``projectw``, or a theme of Textual such as ``textual-light`` or ``ansi-dark``.
    ``export_dir``: where exports go unless a path is given; null is the current folder.
    ``state_dir``: where the session is kept without a keyring; null is the user's state folder.
    ``use_keyring``: keep the session in the system's keyring where there is one.
    ``log_file``: a file to which a line is written for each request; null writes none.
    ``log_format``: ``text`` for people, ``json`` for machines.
    """

    server_url: str = "http://127.0.0.1:8000"
    ca_file: Path | None = None
    allow_plain_http: bool = False
    theme: str = "projectw"
    export_dir: Path | None = None
    state_dir: Path | None = None
    use_keyring: bool = True
    log_file: Path | None = None
    log_format: Literal["text", "json"] = "text"

    def __post_init__(self) -> None:
        """Refuse an address that is none, or that would send recordings in the clear."""
        # Imported here: it brings the HTTP client, which a command's --help does not need.
        from projectw_shared.http import check_server_url

        try:
            check_server_url(self.server_url, allow_plain_http=self.allow_plain_http)
        except ValueError as error:
            raise ValueError(f"server_url: {error}") from error

    @property
    def export_path(self) -> Path:
        """The folder that exports go to unless told otherwise."""
        return self.export_dir or Path.cwd()

    @property
    def state_path(self) -> Path:
        """The folder that holds sessions where there is no keyring."""
        if self.state_dir:
            return self.state_dir
        from platformdirs import user_state_path

        return user_state_path("projectw") / "tui"
