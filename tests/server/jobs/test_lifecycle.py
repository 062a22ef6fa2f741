"""The state machine against a table that was written out by hand from the contract."""

import re
from itertools import product

import pytest

from projectw_server.jobs import lifecycle
from projectw_server.jobs.lifecycle import ALLOWED_FROM, Event, Standing, advance
from projectw_shared.errors import IllegalMove
from projectw_shared.jobs import JobState

from ..core import MAX_ATTEMPTS

STATES = list(JobState)
HELD = ("assigned", "running")

# event → from → (to, attempts, cancel_requested) for a job that nobody asked to cancel and that has been
# assigned once of three times. What is not here is refused.
PLAIN = {
    "claimed": {"queued": ("assigned", 2, False)},
    "beat": {"assigned": ("running", 1, False), "running": ("running", 1, False)},
    "succeeded": {"assigned": ("succeeded", 1, False), "running": ("succeeded", 1, False)},
    "failed": {"assigned": ("failed", 1, False), "running": ("failed", 1, False)},
    "failed_for_now": {"assigned": ("queued", 1, False), "running": ("queued", 1, False)},
    "lease_expired": {"assigned": ("queued", 1, False), "running": ("queued", 1, False)},
    "handed_back": {"assigned": ("queued", 0, False), "running": ("queued", 0, False)},
    "cancel_asked": {
        "queued": ("cancelled", 1, True),
        "assigned": ("assigned", 1, True),
        "running": ("running", 1, True),
        "cancelled": ("cancelled", 1, True),
    },
    "retried": {"failed": ("queued", 0, False), "cancelled": ("queued", 0, False)},
}

# The same for the last of the three attempts, where it differs.
SPENT = {
    ("failed_for_now", "assigned"): ("failed", 3, False),
    ("failed_for_now", "running"): ("failed", 3, False),
    ("lease_expired", "assigned"): ("failed", 3, False),
    ("lease_expired", "running"): ("failed", 3, False),
    ("handed_back", "assigned"): ("queued", 2, False),
    ("handed_back", "running"): ("queued", 2, False),
}

LETTING_GO = ("succeeded", "failed", "failed_for_now", "lease_expired", "handed_back")


def after(state: str, event: str, attempts: int, cancelling: bool) -> tuple[str, int, bool] | None:
    try:
        standing = Standing(JobState(state), attempts, cancelling)
        found = advance(standing, Event(event), max_attempts=MAX_ATTEMPTS)
    except IllegalMove:
        return None
    return found.state.value, found.attempts, found.cancel_requested


@pytest.mark.parametrize(("event", "state"), list(product(Event, STATES)))
def test_each_event_leads_where_the_contract_says_or_is_refused(event: Event, state: JobState) -> None:
    assert after(state, event, 1, False) == PLAIN[event].get(state)


@pytest.mark.parametrize(("event", "state"), list(SPENT))
def test_the_last_attempt_ends_in_failed_unless_it_is_handed_back(event: str, state: str) -> None:
    assert after(state, event, MAX_ATTEMPTS, False) == SPENT[event, state]


@pytest.mark.parametrize(
    ("event", "state", "attempts"), list(product(LETTING_GO, HELD, range(1, MAX_ATTEMPTS + 1)))
)
def test_every_way_of_letting_go_ends_in_cancelled_once_that_was_asked(
    event: str, state: str, attempts: int
) -> None:
    left = attempts - 1 if event == "handed_back" else attempts
    assert after(state, event, attempts, True) == ("cancelled", left, True)


@pytest.mark.parametrize("state", HELD)
def test_beating_and_asking_again_keep_the_wish_to_cancel(state: str) -> None:
    assert after(state, "beat", 1, True) == ("running", 1, True)
    assert after(state, "cancel_asked", 1, True) == (state, 1, True)


@pytest.mark.parametrize(
    ("event", "state", "attempts", "cancelling"), list(product(Event, STATES, range(5), (False, True)))
)
def test_whether_a_move_is_allowed_depends_on_the_state_alone(
    event: Event, state: JobState, attempts: int, cancelling: bool
) -> None:
    assert (after(state, event, attempts, cancelling) is None) == (state not in PLAIN[event])


def test_a_refusal_names_the_state_and_the_states_that_would_do() -> None:
    with pytest.raises(IllegalMove) as refused:
        advance(Standing(JobState.RUNNING), Event.RETRIED, max_attempts=3)
    assert "running" in refused.value.detail
    assert "cancelled or failed" in refused.value.detail


def test_the_table_in_the_documentation_is_the_one_that_is_enforced() -> None:
    assert lifecycle.__doc__ is not None
    lines = [line for line in lifecycle.__doc__.splitlines() if re.match(r"[a-z_]+  +[a-z]", line)]
    told: dict[str, set[str]] = {}
    for line in lines:
        event, states, _ = re.split(r"  +", line, maxsplit=2)
        if event != "event":
            told.setdefault(event, set()).update(states.split(", "))
    assert told == {event.value: {state.value for state in states} for event, states in ALLOWED_FROM.items()}
