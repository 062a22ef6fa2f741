"""Who is let in when more comes than can be served."""

import asyncio

import pytest

from projectw_server.api.admission import FEW, Admission, Pace, Urgency
from projectw_server.api.directory import Directory
from projectw_server.api.doors import Door
from projectw_server.api.gate import LOOK_BYTES, names_job
from projectw_server.api.identity import Who
from projectw_server.api.line import Line
from projectw_server.api.visits import Visit
from projectw_server.app import DOORS
from projectw_shared import routes

AN_ID = "019a2138-c0df-7796-9630-726430c9c318"
FROM_FIRST = [Urgency.HEAVY, Urgency.ORDINARY, Urgency.IDLE]
NEVER = [Urgency.WORKING, Urgency.VITAL]


def admission(
    *, most: int = 100, most_waiting: int = 0, lag: float = 0.0, under_way: int = 0, waiting: int = 0
) -> Admission:
    made = Admission(most=most, most_waiting=most_waiting, longest_lag=1.0, lag=lambda: lag)
    for _ in range(under_way):
        made.enter(Urgency.WORKING)
    for _ in range(waiting):
        made.line_up(Urgency.IDLE)
    return made


def refused(by: Admission) -> list[Urgency]:
    return [urgency for urgency in Urgency if by.refuses(urgency)]


def without_room(by: Admission) -> list[Urgency]:
    return [urgency for urgency in Urgency if not by.has_room(urgency)]


@pytest.mark.parametrize(
    ("under_way", "count"), [(0, 0), (24, 0), (25, 1), (49, 1), (50, 2), (99, 2), (100, 3)]
)
def test_the_least_urgent_find_no_room_first(under_way: int, count: int) -> None:
    assert without_room(admission(under_way=under_way)) == FROM_FIRST[:count]


@pytest.mark.parametrize(("waiting", "count"), [(0, 0), (249, 0), (250, 1), (499, 1), (500, 2), (1000, 3)])
def test_the_least_urgent_are_turned_away_first_when_many_wait(waiting: int, count: int) -> None:
    assert refused(admission(most_waiting=1000, under_way=100, waiting=waiting)) == FROM_FIRST[:count]


def test_nobody_is_turned_away_who_need_not_wait() -> None:
    assert refused(admission(most_waiting=0, under_way=24)) == []


@pytest.mark.parametrize(("lag", "count"), [(0.0, 0), (0.2, 0), (0.3, 1), (0.6, 2), (1.1, 3), (99, 3)])
def test_a_late_event_loop_turns_away_in_the_same_order(lag: float, count: int) -> None:
    assert refused(admission(most=10_000, lag=lag, under_way=FEW)) == FROM_FIRST[:count]


def test_a_machine_that_stood_still_with_little_to_do_turns_nobody_away() -> None:
    assert refused(admission(most=10_000, lag=99, under_way=FEW - 1)) == []


def test_whatever_happens_working_runners_and_the_probes_are_let_in() -> None:
    flooded = admission(most=1, lag=99, under_way=10_000, waiting=10_000)
    assert refused(flooded) == without_room(flooded) == FROM_FIRST
    for urgency in NEVER:
        assert flooded.has_room(urgency)
        assert not flooded.refuses(urgency)


def test_the_smallest_limit_still_lets_one_in() -> None:
    assert without_room(admission(most=1)) == refused(admission(most=1)) == []


def test_what_only_waits_is_not_under_way() -> None:
    counts = admission()
    counts.enter(Urgency.IDLE)
    visit = Visit(counts, Urgency.IDLE)
    assert counts.under_way[Urgency.IDLE] == counts.total == 1
    with visit.held():
        assert counts.total == 0
        with visit.held():
            assert counts.total == 0
        assert counts.total == 0
    assert counts.total == 1
    assert visit.held_seconds > 0


def test_refusals_come_at_a_steady_pace_when_there_are_many() -> None:
    pace = Pace(rate=10, longest=1.0)
    assert pace.delay(100.0) == 0
    delays = [pace.delay(100.0) for _ in range(5)]
    assert delays == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert max(pace.delay(100.0) for _ in range(100)) == pytest.approx(1.0)
    assert pace.delay(200.0) == 0


# --- the line ---------------------------------------------------------------------------------------------

PATIENCE = 30.0


class Crowd:
    """Requests that line up, and the order in which they are let in."""

    def __init__(self, counts: Admission) -> None:
        self.line = Line(counts)
        self.let_in: list[str] = []

    def come(self, name: str, urgency: Urgency) -> asyncio.Task[bool]:
        async def pass_through() -> bool:
            passed = await self.line.pass_through(urgency, PATIENCE)
            self.let_in.append(name)
            return passed

        return asyncio.create_task(pass_through())


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_waits_is_let_in_as_there_is_room_the_most_urgent_first_and_then_in_order() -> None:
    counts = admission(most=4, under_way=4)
    crowd = Crowd(counts)
    tasks = [
        crowd.come("first list", Urgency.HEAVY),
        crowd.come("second list", Urgency.HEAVY),
        crowd.come("job", Urgency.ORDINARY),
        crowd.come("idle", Urgency.IDLE),
    ]
    await turns()
    assert (crowd.let_in, counts.total_waiting) == ([], 4)
    while counts.total_waiting:
        counts.leave(Urgency.WORKING)
        await turns()
    assert crowd.let_in == ["idle", "job", "first list", "second list"]
    assert all([await task for task in tasks])


async def test_one_place_is_given_to_one() -> None:
    counts = admission(most=4, under_way=1)
    crowd = Crowd(counts)
    tasks = [crowd.come(str(n), Urgency.HEAVY) for n in range(3)]
    await turns()
    counts.leave(Urgency.WORKING)
    await turns()
    assert crowd.let_in == ["0"]
    assert (counts.total, counts.total_waiting) == (1, 2)
    for task in tasks:
        task.cancel()
    await turns()
    assert (counts.total, counts.total_waiting) == (1, 0)


async def test_whose_client_leaves_in_the_very_moment_gives_its_place_on() -> None:
    counts = admission(most=4, under_way=1)
    crowd = Crowd(counts)
    first, second = crowd.come("first", Urgency.HEAVY), crowd.come("second", Urgency.HEAVY)
    await turns()
    counts.leave(Urgency.WORKING)
    first.cancel()
    await turns()
    assert crowd.let_in == ["second"]
    assert await second
    assert (counts.total, counts.total_waiting) == (1, 0)


async def test_who_has_waited_too_long_is_not_let_in() -> None:
    counts = admission(most=4, under_way=4)
    assert not await Line(counts).pass_through(Urgency.HEAVY, 0.01)
    assert (counts.total, counts.total_waiting) == (4, 0)


# --- what a request is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "has_job"),
    [
        (b'{"session":"s","wait":15}', False),
        (b'{"session":"s","wait":15,"job":null}', False),
        (b'{"session":"s","wait":15,"job":{"id":"x","lease":1,"progress":0}}', True),
        (b'{"job":{"segments":[' + b"1," * LOOK_BYTES, True),
        (b'{"session":"\\"job\\":{}"}', False),
        (b'{"job":{"id"', False),
        (b"\xff", False),
        (b"", False),
    ],
)
def test_a_heartbeat_is_a_working_runners_if_it_names_a_job(body: bytes, has_job: bool) -> None:
    assert names_job(body) is has_job


@pytest.fixture(scope="module")
def directory() -> Directory:
    return Directory(door for module in DOORS for door, _ in module.doors._declared)


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/api/jobs", routes.JOBS),
        ("POST", "/api/runners/create", routes.RUNNER_CREATE),
        ("DELETE", f"/api/runners/{AN_ID}", routes.RUNNER),
        ("POST", f"/api/runners/jobs/{AN_ID}/result", routes.RUNNER_RESULT),
        ("HEAD", f"/api/jobs/{AN_ID}/audio", routes.JOB_AUDIO),
    ],
)
def test_a_path_is_found_by_its_template(directory: Directory, method: str, path: str, template: str) -> None:
    found, door = directory.find(method, path)
    assert found == template
    assert door is not None
    assert door.path == template


@pytest.mark.parametrize(
    "path", ["/", "", "/api/jobs/", "/api/jobs//audio", "/api/jobs/{id}/x", "/x/y/z/{id}"]
)
def test_a_path_that_is_none_of_ours_has_no_template(directory: Directory, path: str) -> None:
    assert directory.find("GET", path) == (None, None)


def test_a_method_that_a_path_does_not_know_has_no_door(directory: Directory) -> None:
    assert directory.find("PUT", "/api/jobs") == (routes.JOBS, None)


def test_lists_and_submissions_give_way_first_and_runners_with_a_job_never(directory: Directory) -> None:
    def urgency(method: str, path: str) -> Urgency:
        door: Door | None = directory.find(method, path)[1]
        assert door is not None
        return door.urgency

    assert urgency("GET", routes.JOBS) == urgency("POST", routes.JOBS) == Urgency.HEAVY
    assert urgency("GET", routes.JOB) == urgency("GET", routes.JOB_SEGMENTS) == Urgency.ORDINARY
    assert urgency("POST", routes.RUNNER_REGISTER) == urgency("POST", routes.RUNNER_HEARTBEAT) == Urgency.IDLE
    assert urgency("POST", routes.RUNNER_RESULT) == urgency("GET", routes.RUNNER_AUDIO) == Urgency.WORKING
    assert urgency("GET", routes.HEALTH) == urgency("GET", routes.READY) == Urgency.VITAL


def test_no_persons_door_can_push_runners_aside() -> None:
    for module in DOORS:
        for door, _ in module.doors._declared:
            if door.who in (Who.USER, Who.ADMIN):
                assert door.urgency in (Urgency.HEAVY, Urgency.ORDINARY), door.path
