"""Many people who watch: how late what a runner tells of its job is at the job's owner."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec

from benchmarks.fleets.idle import register
from benchmarks.fleets.loop_lag import watched
from benchmarks.fleets.members import Runner, Submitter
from benchmarks.fleets.plan import Place, Plan
from benchmarks.fleets.population import Member, opened, populate, server_settings
from benchmarks.fleets.servers import Servers, running
from benchmarks.fleets.tally import Errors, Rows
from benchmarks.fleets.wire import Broken, Connection, Refused, request_of
from projectw_shared import routes
from projectw_shared.events import EventName, parse_events
from projectw_shared.messages import Assignment

BEAT_SECONDS = 1.0
HELD_SECONDS = 15.0
STEP = 1e-5
"""By how much the progress grows with each heartbeat, so that each event says which one it is of."""

SETTLE_SECONDS = 1.0
OPENING_SECONDS = 60.0
DELAY_GOAL_MS = 500.0


class Told(msgspec.Struct):
    """What is looked at in a ``job`` event."""

    id: str
    progress: float


@dataclass
class Watch:
    """When each step of each job was sent, and how long it took to be seen. Times are ``time.perf_counter``'s."""

    sent: dict[tuple[str, int], float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    open: int = 0
    errors: Errors = field(default_factory=Errors)

    def see(self, job_id: str, progress: float) -> None:
        """Note that an event was read; a step that comes again counts once."""
        sent = self.sent.pop((job_id, round(progress / STEP)), None)
        if sent is not None:
            self.delays.append(time.perf_counter() - sent)

    def begin_anew(self) -> None:
        """Forget the times so far, not the errors."""
        self.sent, self.delays, self.answers = {}, [], []


async def measure(rows: Rows, place: Place, plan: Plan) -> None:
    """Add the part's rows to the report."""
    settings = server_settings(place.folder / "data", place.database_url)
    async with opened(settings) as (services, _, _):
        population = await populate(services, people=plan.people, runners=plan.working)
    with running(
        place.folder, settings, count=place.servers, pin=place.pin, others=place.database
    ) as servers:
        ports = itertools.cycle(servers.ports)
        runners = [Runner(next(ports), token) for token in population.runner_tokens]
        watch = Watch()
        watching = asyncio.gather(*(_watch(next(ports), person, watch) for person in population.people))
        try:
            await _until_open(watch, plan.people)
            held = await _assigned(servers, runners, population.people)
            for what, wait in (("answered at once", 0.0), ("held", HELD_SECONDS)):
                await _measure(rows, servers, held, watch, plan.live_seconds, what, wait)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    rows.errors(watch.errors)


async def _watch(port: int, person: Member, watch: Watch) -> None:
    connection = Connection(port)
    request = request_of("GET", routes.EVENTS, token=person.token)

    async def opened() -> AsyncIterator[bytes]:
        async for chunk in connection.chunks(request):
            yield chunk

    while True:
        try:
            async for event in parse_events(opened()):
                if event.name == EventName.HELLO:
                    watch.open += 1
                elif event.name == EventName.JOB:
                    told = msgspec.json.decode(event.data, type=Told)
                    watch.see(told.id, told.progress)
            watch.errors.note("a stream of events ended")
        except (Broken, Refused) as error:
            watch.errors.note(error)
        watch.open -= 1
        await asyncio.sleep(1.0)


async def _until_open(watch: Watch, count: int) -> None:
    async with asyncio.timeout(OPENING_SECONDS):
        while watch.open < count:
            await asyncio.sleep(0.05)


async def _assigned(
    servers: Servers, runners: Sequence[Runner], people: Sequence[Member]
) -> list[tuple[Runner, Assignment]]:
    """Let each runner have a job, the first ones of as many people."""
    await register(runners)
    for person in people[: len(runners)]:
        submitter = Submitter(servers.ports[0], person.token)
        await submitter.submit()
        submitter.connection.close()
    held = []
    for runner in runners:
        job = await runner.next_job(0.0)
        if job is None:
            raise RuntimeError("a runner got no job although enough wait")
        held.append((runner, job))
    return held


async def _measure(
    rows: Rows,
    servers: Servers,
    held: Sequence[tuple[Runner, Assignment]],
    watch: Watch,
    seconds: float,
    what: str,
    wait: float,
) -> None:
    ends = time.perf_counter() + seconds + BEAT_SECONDS
    begin = 1 if wait == 0 else 50_000
    async with asyncio.TaskGroup() as group, watched() as late:
        beating = [
            group.create_task(_beat(runner, job, watch, begin, n / len(held) * BEAT_SECONDS, ends, wait))
            for n, (runner, job) in enumerate(held)
        ]
        # The first beats make the jobs running, which is a commit each.
        await asyncio.sleep(BEAT_SECONDS)
        watch.begin_anew()
        cpu = servers.cpu_seconds()
        await asyncio.wait(beating)
        cpu = servers.cpu_seconds() - cpu
        await asyncio.sleep(SETTLE_SECONDS)
    part = f"heartbeats {what}: "
    rows.times(part + "from the heartbeat to the owner's event", watch.delays, p99_goal_ms=DELAY_GOAL_MS)
    rows.times(part + "until its answer", watch.answers) if wait == 0 else None
    rows.value(part + "events that never came", len(watch.sent), most=0)
    rows.value(part + "server: share of a core", cpu / seconds)
    rows.times(part + "load: its own event loop late by", late)


async def _beat(
    runner: Runner, job: Assignment, watch: Watch, begin: int, offset: float, ends: float, wait: float
) -> None:
    """Send a heartbeat each second; one that is held is ended by the next, which so needs a second connection."""
    connections = [runner.connection, Connection(runner.connection.port)]
    under_way: list[asyncio.Task[None] | None] = [None, None]

    async def send(request: bytes, connection: Connection, began: float) -> None:
        try:
            await connection.expect(request)
            watch.answers.append(time.perf_counter() - began)
        except (Broken, Refused) as error:
            watch.errors.note(error)

    due = time.perf_counter() + offset
    for number in itertools.count(begin):
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if due >= ends:
            break
        due += BEAT_SECONDS
        side = number % 2
        if (before := under_way[side]) is not None:
            await before
        request = runner.beat(job, number * STEP, wait)
        now = watch.sent[job.id, number] = time.perf_counter()
        under_way[side] = asyncio.create_task(send(request, connections[side], now))
    await asyncio.gather(*(task for task in under_way if task is not None and wait == 0))
    for task in under_way:
        if task is not None and not task.done():
            task.cancel()
    await asyncio.gather(*(task for task in under_way if task is not None), return_exceptions=True)
    connections[1].close()
