from projectw_server.jobs.renewals import Renewals
from projectw_server.jobs.watch import LeaseWatch, Mark

LEASE = 60.0


def test_a_lease_is_lost_when_its_row_has_stood_still_for_its_length() -> None:
    watch = LeaseWatch(LEASE)
    held = [("job", Mark(1, 500.0))]
    assert watch.lost(held, 1000.0) == []
    assert watch.lost(held, 1060.0) == []
    assert watch.lost(held, 1060.1) == ["job"]
    # Until it is let go of, it stays lost.
    assert watch.lost(held, 1061.0) == ["job"]


def test_the_clock_of_the_server_that_wrote_does_not_matter() -> None:
    for writers_clock in (0.0, 1e9, -1e9):
        watch = LeaseWatch(LEASE)
        for beat in range(0, 300, 15):
            assert watch.lost([("job", Mark(1, writers_clock + beat + LEASE))], 1000.0 + beat) == []
        last = Mark(1, writers_clock + 285 + LEASE)
        assert watch.lost([("job", last)], 1000.0 + 285 + LEASE) == []
        assert watch.lost([("job", last)], 1000.0 + 285 + LEASE + 0.1) == ["job"]


def test_a_renewal_that_was_written_late_counts_from_its_heartbeat() -> None:
    watch = LeaseWatch(LEASE)
    watch.lost([("job", Mark(1, 60.0))], 1000.0)
    # The runner called at 10, and that was written at 57.
    watch.lost([("job", Mark(1, 70.0))], 1057.0)
    assert watch.lost([("job", Mark(1, 70.0))], 1070.0) == []
    assert watch.lost([("job", Mark(1, 70.0))], 1070.1) == ["job"]


def test_a_runner_that_goes_to_a_server_with_another_clock_loses_at_most_what_was_left() -> None:
    watch = LeaseWatch(LEASE)
    watch.lost([("job", Mark(1, 60.0))], 1000.0)
    for others_clock in (-1e6, 1e6):
        mark = Mark(1, others_clock)
        assert watch.lost([("job", mark)], 1015.0) == []
        assert watch.lost([("job", mark)], 1059.0) == []
    assert watch.lost([("job", Mark(1, 1e6))], 1075.1) == ["job"]


def test_a_new_lease_begins_anew_and_what_is_no_longer_held_is_forgotten() -> None:
    watch = LeaseWatch(LEASE)
    watch.lost([("job", Mark(1, 60.0))], 1000.0)
    assert watch.lost([("job", Mark(2, 60.0))], 1070.0) == []
    assert watch.lost([], 1080.0) == []
    assert watch.lost([("job", Mark(2, 60.0))], 1200.0) == []


def test_what_this_server_wrote_itself_counts_from_then() -> None:
    watch = LeaseWatch(LEASE)
    watch.note("job", Mark(1, 1060.0), 1000.0)
    assert watch.lost([("job", Mark(1, 1060.0))], 1060.5) == ["job"]


def test_a_renewal_is_written_every_quarter_of_a_lease() -> None:
    renewals = Renewals(LEASE)
    renewals.written("job", 1, 60.0)
    due = [second for second in range(1, 40) if renewals.note("job", 1, 60.0 + second, 0.0)]
    assert due[0] == 15


def test_a_renewal_that_only_this_server_knows_is_written_before_the_written_one_ends() -> None:
    renewals = Renewals(LEASE)
    renewals.written("job", 1, 60.0)
    renewals.note("job", 1, 70.0, 60.0)
    assert renewals.to_defend(50.0) == []
    ((job_id, renewal),) = renewals.to_defend(58.0)
    assert (job_id, renewal.until) == ("job", 70.0)
    renewals.written("job", 1, 70.0)
    assert renewals.to_defend(58.0) == []
