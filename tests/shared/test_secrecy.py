"""Objects that hold secrets do not show them."""

import pytest
from rich.pretty import pretty_repr

from projectw_runner.settings import RunnerSettings
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import Login, Refresh, Tokens
from projectw_shared.messages import CreatedRunner
from projectw_shared.strict import strict
from projectw_tui.session import Session

SECRET = "hunter2"


@pytest.mark.parametrize(
    "holder",
    [
        Login("ada@example.org", SECRET),
        strict(Login)("ada@example.org", SECRET),
        Refresh(SECRET),
        Tokens(SECRET, 900, SECRET),
        CreatedRunner("id", "gpu-1", SECRET),
        Session("ada@example.org", SECRET, SECRET, 0.0),
        ServerSettings(metrics_token=SECRET, signing_key=SECRET, database_url=f"postgres://u:{SECRET}@h/d"),
        RunnerSettings(token=SECRET),
    ],
)
def test_a_secret_is_not_shown(holder: object) -> None:
    for shown in (repr(holder), str(holder), f"{[holder]}", pretty_repr(holder)):
        assert SECRET not in shown
        assert type(holder).__name__ in shown


def test_what_is_not_set_is_shown_as_such() -> None:
    assert "signing_key=None" in repr(ServerSettings())
