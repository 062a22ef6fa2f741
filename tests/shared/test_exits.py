"""How a program ends."""

import pytest

from projectw_shared.errors import Forbidden, Internal, NotFound, SessionLost, Unauthorized, Unreachable
from projectw_shared.exits import Exit, exit_code
from projectw_shared.extras import missing_extra


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable(), 69),
        (Unauthorized(), 77),
        (Forbidden(), 77),
        (NotFound(), 1),
        (SessionLost(), 1),
        (Internal(), 1),
        (ValueError(), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_scripts_can_tell_errors_apart_by_the_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_the_codes_are_those_of_the_contract() -> None:
    assert {each.name: int(each) for each in Exit} == {
        "DONE": 0, "FAILED": 1, "USAGE": 2, "UNREACHABLE": 69, "NOT_ALLOWED": 77, "CONFIGURATION": 78,
        "INTERRUPTED": 130,
    }  # fmt: skip


def test_a_missing_extra_is_told_with_the_installation_that_brings_it() -> None:
    error = ModuleNotFoundError("No module named 'textual.app'", name="textual.app")
    assert missing_extra(error, "tui", "projectw") == (
        "projectw needs the Python package 'textual', which is not installed; "
        "this brings it: pip install 'project-w[tui]'"
    )


def test_a_missing_part_of_our_own_is_no_missing_extra() -> None:
    error = ModuleNotFoundError("No module named 'projectw_tui.app'", name="projectw_tui.app")
    assert "installation is incomplete" in missing_extra(error, "tui", "projectw")
