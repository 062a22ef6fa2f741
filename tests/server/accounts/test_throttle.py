"""How often wrong passwords may be tried, and by whom."""

import pytest

from projectw_server.accounts.throttle import (
    ATTACK,
    FREE_FROM_ONE_ADDRESS,
    FREE_OF_AN_ADDRESS,
    FREE_UNDER_ATTACK,
    HOUR,
    LONGEST_WAIT,
    Throttle,
)
from projectw_server.sources import source_of
from projectw_shared.errors import TooManyTries

ADA, BOB, HERE, THERE = "ada@example.org", "bob@example.org", "192.0.2.1", "198.51.100.7"


class Gate:
    """A throttle with a clock that stands still, and tries with a wrong password."""

    def __init__(self, most: int = 1000) -> None:
        self.at = 1000.0
        self.throttle = Throttle(now=lambda: self.at, most=most)

    def try_wrong(self, email: str = ADA, origin: str = HERE) -> None:
        self.throttle.check_account(email, origin)
        self.throttle.check_origin(origin)
        self.throttle.failed(email, origin)

    def wait(self, email: str = ADA, origin: str = HERE) -> float:
        """Return for how long a try is refused."""
        try:
            self.throttle.check_account(email, origin)
            self.throttle.check_origin(origin)
        except TooManyTries as error:
            assert error.retry_after is not None
            return error.retry_after
        return 0.0


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_some_tries_are_free_and_then_the_waits_double_up_to_a_bound(gate: Gate) -> None:
    for _ in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong()
    waits = []
    for _ in range(25):
        waits.append(gate.wait())
        gate.at += waits[-1]
        gate.try_wrong()
    assert waits[:8] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert max(waits) == LONGEST_WAIT


def test_it_waits_no_longer_than_it_says(gate: Gate) -> None:
    for _ in range(FREE_FROM_ONE_ADDRESS + 1):
        gate.at += gate.wait()
        gate.try_wrong()
    gate.at += gate.wait() - 0.01
    assert gate.wait() == 1
    gate.at += 0.02
    assert gate.wait() == 0


def test_a_refused_try_is_not_counted(gate: Gate) -> None:
    for _ in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong()
    for _ in range(50):
        assert gate.wait() == 1


def test_an_unknown_account_is_treated_like_a_known_one(gate: Gate) -> None:
    for _ in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong("nobody@example.org")
    assert gate.wait("nobody@example.org") == 1


def test_a_right_password_makes_the_wrong_ones_before_it_forgotten(gate: Gate) -> None:
    for _ in range(FREE_FROM_ONE_ADDRESS - 1):
        gate.try_wrong()
    gate.throttle.succeeded(ADA, HERE)
    for _ in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong()
    assert gate.wait() == 1


def test_after_a_quiet_hour_all_is_forgotten(gate: Gate) -> None:
    for _ in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong()
    gate.at += HOUR
    for _ in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong()


def test_many_tries_at_once_are_paid_back(gate: Gate) -> None:
    for _ in range(60):  # all looked at before the first of them was found to be wrong
        gate.throttle.failed(ADA, HERE)
    assert gate.wait() == LONGEST_WAIT
    gate.at += HOUR
    assert gate.wait() == 0
    gate.try_wrong()
    assert gate.wait() == LONGEST_WAIT


def test_no_stranger_locks_anybody_out(gate: Gate) -> None:
    for number in range(20 * ATTACK):
        gate.throttle.failed(ADA, f"203.0.{number // 250}.{number % 250}")
        assert gate.wait(ADA, THERE) == 0


def test_an_attacked_account_allows_each_address_less(gate: Gate) -> None:
    for number in range(ATTACK):
        gate.throttle.failed(ADA, f"203.0.113.{number}")
    for _ in range(FREE_UNDER_ATTACK):
        gate.try_wrong(ADA, THERE)
    assert gate.wait(ADA, THERE) > 0
    assert gate.wait(BOB, THERE) == 0


def test_an_address_that_tries_many_accounts_waits_whatever_the_account(gate: Gate) -> None:
    for number in range(FREE_OF_AN_ADDRESS):
        gate.try_wrong(f"{number}@example.org")
    assert gate.wait("another@example.org") == 1
    assert gate.wait("another@example.org", THERE) == 0


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_an_address_behind_which_all_the_world_may_be_is_not_shut_as_a_whole(
    gate: Gate, loopback: str
) -> None:
    for number in range(3 * FREE_OF_AN_ADDRESS):
        gate.try_wrong(f"{number}@example.org", loopback)
    assert gate.wait("another@example.org", loopback) == 0
    for _ in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong(ADA, loopback)
    assert gate.wait(ADA, loopback) == 1


def test_whoever_has_an_ipv6_network_has_one_address_of_it(gate: Gate) -> None:
    for number in range(FREE_FROM_ONE_ADDRESS):
        gate.try_wrong(ADA, f"2001:db8:1:2::{number:x}")
    assert gate.wait(ADA, "2001:db8:1:2:ffff::1") == 1
    assert gate.wait(ADA, "2001:db8:1:3::1") == 0


def test_an_ipv4_address_is_the_same_in_ipv6(gate: Gate) -> None:
    assert source_of("::ffff:192.0.2.1") == source_of("192.0.2.1")


def test_memory_is_bounded() -> None:
    gate = Gate(most=50)
    for number in range(500):
        gate.throttle.failed(f"{number}@example.org", f"203.0.{number // 250}.{number % 250}")
    counts = (gate.throttle._pairs, gate.throttle._accounts, gate.throttle._origins)
    assert [len(each) for each in counts] == [50, 50, 50]


def test_no_address_of_e_mail_is_kept(gate: Gate) -> None:
    gate.try_wrong()
    assert not any("ada" in key for key in (*gate.throttle._pairs._found, *gate.throttle._accounts._found))
