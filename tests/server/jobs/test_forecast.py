from projectw_server.jobs.forecast import (
    OVERHEAD_SECONDS,
    Speeds,
    Turn,
    Waiting,
    Worker,
    audio_seconds,
    model_of,
    play,
)

BOTH = frozenset({"*", "tiny"})
LARGE = frozenset({"*", "large-v3"})


def worker(name: str, offers: frozenset[str] = BOTH, free_in: float = 0.0) -> Worker:
    return Worker(name, offers, free_in)


def known(**factors: float) -> Speeds:
    return Speeds((name, "*", "en", factor) for name, factor in factors.items())


def test_jobs_go_one_after_another_to_whoever_is_free_first() -> None:
    jobs = [Waiting(str(n), "*", 100.0) for n in range(4)]
    turns = play([worker("fast"), worker("slow")], jobs, known(fast=10.0, slow=1.0))
    fast = 10.0 + OVERHEAD_SECONDS
    assert turns["0"] == Turn(0.0, fast)
    assert turns["1"] == Turn(0.0, 100.0 + OVERHEAD_SECONDS)
    assert turns["2"] == Turn(fast, 2 * fast)
    assert turns["3"] == Turn(2 * fast, 3 * fast)


def test_a_job_waits_for_a_runner_that_can_do_it_and_lets_others_pass() -> None:
    jobs = [
        Waiting("first", "large-v3", 10.0),
        Waiting("second", "large-v3", 10.0),
        Waiting("third", "tiny", 10.0),
    ]
    turns = play([worker("small"), worker("big", LARGE, free_in=50.0)], jobs, known(small=10.0, big=10.0))
    assert turns["first"].begins_in == 50.0
    assert turns["second"].begins_in == 51.0 + OVERHEAD_SECONDS
    assert turns["third"].begins_in == 0.0


def test_of_a_job_that_nobody_can_do_nothing_is_known() -> None:
    assert play([worker("small")], [Waiting("x", "large-v3", 1.0)], known(small=1.0)) == {
        "x": Turn(None, None)
    }
    assert play([], [Waiting("x", "*", 1.0)], known()) == {"x": Turn(None, None)}


def test_without_a_speed_only_the_beginnings_before_it_are_known() -> None:
    jobs = [Waiting("first", "*", 1.0), Waiting("second", "*", 1.0)]
    turns = play([worker("new", free_in=3.0)], jobs, Speeds())
    assert turns == {"first": Turn(3.0, None), "second": Turn(None, None)}


def test_a_speed_that_was_not_measured_is_taken_from_what_comes_closest() -> None:
    speeds = Speeds([("a", "tiny", "en", 40.0), ("a", "tiny", "de", 20.0), ("b", "large-v3", "en", 2.0)])
    assert speeds.of("a", "tiny", "de") == 20.0
    assert speeds.of("a", "tiny", "fr") == 30.0
    assert speeds.of("b", "tiny") == 2.0
    assert speeds.of("c", "large-v3") == 2.0
    assert Speeds().of("a", "tiny") is None


def test_what_is_left_is_told_by_the_length_or_the_size() -> None:
    assert audio_seconds(60.0, 10**9, done=20.0) == 40.0
    assert audio_seconds(None, 160_000) == 10.0
    assert audio_seconds(10.0, 0, done=20.0) == 0.0
    assert (model_of("*translating"), model_of("tiny@gpu")) == ("*", "tiny")
