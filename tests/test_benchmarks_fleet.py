"""The fleet's benchmark: its figures, its client, what it sends, and what it counts as lost or done twice."""

import argparse
import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from benchmarks import fleet
from benchmarks.fleets import aborts, live
from benchmarks.fleets.kills import Ledger
from benchmarks.fleets.members import Runner
from benchmarks.fleets.plan import Plan
from benchmarks.fleets.population import Member, fill, opened, populate, server_settings
from benchmarks.fleets.tally import COLUMNS, Errors, Rows, percentile
from benchmarks.fleets.wire import Answer, Broken, Connection, Refused, request_of
from benchmarks.report import Report
from projectw_server.accounts.principals import Person

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[Connection]:
    serving: set[asyncio.Task[None] | None] = set()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(noted, "127.0.0.1", 0)
    connection = Connection(server.sockets[0].getsockname()[1])
    try:
        yield connection
    finally:
        connection.close()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*(task for task in serving if task is not None))


def saying(*answers: bytes) -> Serve:
    """Answer each request on a connection with the next of ``answers``, then close it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(answer)

    return serve


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    fleet.arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def rows() -> Rows:
    return Rows(Report("A fleet", COLUMNS, environment={}), "part")


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([7.0], 0.01) == 7.0
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize(("seconds", "met"), [([0.1, 0.2], True), ([0.1, 0.3], False), ([], False)])
def test_a_goal_is_met_by_enough_times_and_never_by_none(rows: Rows, seconds: list[float], met: bool) -> None:
    rows.times("what", seconds, p99_goal_ms=250.0)
    assert rows.report.rows[0][-2:] == ("p99 < 250 ms", met)


def test_errors_are_counted_and_the_most_frequent_are_told(rows: Rows) -> None:
    errors = Errors()
    for what in ("one", "other", "other"):
        errors.note(what)
    rows.errors(errors)
    assert rows.report.rows[0][-3:] == (3, "at most 0", False)
    assert rows.report.notes == ["part: 2 times: other", "part: 1 times: one"]


def test_a_quick_run_has_every_part_and_less_of_it() -> None:
    quick, whole = Plan.quick(), Plan()
    assert quick.rate == whole.rate
    assert quick.runners < whole.runners
    assert quick.kills < whole.kills
    assert list(fleet.PARTS) == ["idle", "live", "recovery", "kills", "aborts"]


@pytest.mark.parametrize(
    "words",
    [
        ["--servers", "0"],
        ["--servers", "2"],
        ["--database", "postgres://user@host/name"],
        ["--database", "postgres://user@host/name", "--part", "idle", "--part", "live"],
    ],
)
def test_options_that_contradict_one_another_are_refused_in_a_sentence(words: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"^--"):
        fleet.check(options(*words))


@pytest.mark.parametrize(
    "words", [[], ["--postgres", "--servers", "3"], ["--database", "postgres://u@h/n", "--part", "idle"]]
)
def test_options_that_go_together_are_taken(words: list[str]) -> None:
    fleet.check(options(*words))


async def test_answers_follow_one_another_on_one_connection() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
    second = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with listening(saying(first, second)) as connection:
        assert await connection.send(request_of("POST", "/a", body=b"{}")) == Answer(200, b"one")
        assert await connection.send(request_of("GET", "/b")) == Answer(204, b"")
        # The server has closed the connection by now; the next request is answered on a new one.
        with pytest.raises(Broken, match="GET /b"):
            await connection.send(request_of("GET", "/b"))
        assert await connection.send(request_of("GET", "/b")) == Answer(200, b"one")


async def test_an_answer_of_another_kind_is_told_with_its_request() -> None:
    async with listening(saying(b"HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\nlost")) as connection:
        with pytest.raises(Refused, match=r"POST /a answered 409: b'lost'") as caught:
            await connection.expect(request_of("POST", "/a"))
        assert caught.value.status == 409


async def test_nobody_who_listens_is_a_broken_connection() -> None:
    async with listening(saying()) as connection:
        port = connection.port
    with pytest.raises(Broken):
        await Connection(port).send(request_of("GET", "/a"))


async def test_chunks_come_one_by_one_to_the_last() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    async with listening(saying(answer)) as connection:
        assert [chunk async for chunk in connection.chunks(request_of("GET", "/a"))] == [b"one", b"two"]


def test_what_was_acknowledged_and_what_was_done_twice_is_counted() -> None:
    ledger = Ledger()
    ledger.take_job("key", "a")
    ledger.take_job("key", "a")
    assert ledger.changed_keys == 0
    ledger.take_job("key", "b")
    assert (ledger.changed_keys, ledger.jobs) == (1, {"key": "a"})
    ledger.claims["a", 1] |= {0}
    ledger.claims["a", 2] |= {1}
    assert ledger.claimed_twice == 0
    ledger.claims["a", 2] |= {2}
    assert ledger.claimed_twice == 1
    ledger.results["a"] |= {(1, 0)}
    assert ledger.finished_twice == 0
    ledger.results["a"] |= {(2, 1)}
    assert ledger.finished_twice == 1


def test_an_event_is_known_by_its_progress_and_counts_once() -> None:
    watch = live.Watch()
    watch.sent = {("job", 3): 0.0, ("job", 4): 0.0}
    watch.see("job", 3 * live.STEP)
    watch.see("job", 3 * live.STEP)
    watch.see("another", 4 * live.STEP)
    assert len(watch.delays) == 1
    assert list(watch.sent) == [("job", 4)]


async def test_the_population_is_signed_in_and_its_jobs_wait(tmp_path: Path) -> None:
    async with opened(server_settings(tmp_path / "data", None)) as (services, _, _):
        population = await populate(services, people=2, runners=1)
        claims = [services.sessions.read(member.token) for member in (population.admin, *population.people)]
        people = [await services.sessions.identify(claim) for claim in claims if claim is not None]
        assert [isinstance(person, Person) and person.is_admin for person in people] == [True, False, False]
        assert await services.runner_tokens.identify(population.runner_tokens[0]) is not None
        await fill(population.people, 11, held=3)
        counts = await services.jobs.counts()
        assert sorted(counts.values()) == [0, 3, 4]


async def test_there_is_a_whole_request_to_break_off_for_every_route(tmp_path: Path) -> None:
    member, runner = Member("person", "token"), Runner(1, "pwr_token")
    runner.session = "session"
    actors = aborts.Actors(member, member, runner, "runner-id", "job-id", ("held-id", 7))
    async with opened(server_settings(tmp_path / "data", None)) as (_, _, doors):
        requests = [aborts._request(door, actors) for door in doors]
    assert len(requests) > 25
    assert all(b"\r\n\r\n" in request and b"{id}" not in request for request in requests)
    result = next(request for request in requests if b"/result" in request)
    assert result.startswith(b"POST /api/runners/jobs/held-id/result ")
    assert result.endswith(b'{"lease":7,"next":0}')
