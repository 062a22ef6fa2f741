"""One scenario on one installation: a job is brought to a point, the fault strikes there, and all is judged."""

import asyncio
import random
import sys
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from deploy.programs import Program
from projectw_shared.errors import Conflict, NotFound
from projectw_shared.jobs import JobSettings
from tests.chaos.deployment import ADMIN, PASSWORD, Deployment
from tests.chaos.equipment import FalseClock, SlowDisk, SmallDisk, small_disk
from tests.chaos.faults import BY_MANNERS, STRIKES, TO_CLIENT, TO_CLOCK, TO_RUNNER, Fault, Strike
from tests.chaos.invariants import Evidence, violations
from tests.chaos.points import SIGHTS, UPLOADING, Point
from tests.chaos.proxy import Line, Moment, Trap
from tests.chaos.recordings import recording
from tests.chaos.simulated_runner import Manners

POINT_SECONDS: Final = 20.0
"""How long a job may take to come to its point."""

SETTLE_SECONDS: Final = 60.0
"""How long all jobs may take to end when the faults are over."""

STEP_SECONDS: Final = 150.0
"""The most that a step may take before the scenario counts as hung."""

TWO_HOURS: Final = 7200.0
"""After so long a server sweeps what belongs to no job."""

RUNNER_SPEED: Final = 40.0
SLOW_SPEED: Final = 8.0
"""For client programs, which take a second to start, and are to find the job at work."""

CLEAN: Final = Manners()
DOUBLING: Final = Manners(doubles=1.0)
REORDERING: Final = Manners(doubles=0.2, reorders=0.8, sleeps=0.1, sleep_seconds=2.6, vanishes=0.05)
CLUMSY: Final = Manners(doubles=0.1, reorders=0.1, vanishes=0.03, sleeps=0.01, errs=0.03, hands_back=0.03)


@dataclass(frozen=True)
class Step:
    """A fault at a point."""

    point: Point
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault} at {self.point}"


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario: the steps whose point was reached, and what contradicts the invariants."""

    reached: tuple[Step, ...]
    violations: tuple[str, ...]


class Equipped:
    """What the faults of a scenario need of the machine."""

    def __init__(self, folder: Path, faults: set[Fault], held: ExitStack) -> None:
        self.clock = FalseClock(folder) if faults & TO_CLOCK else None
        self.disk: SmallDisk | None = None
        self.slow_disk = SlowDisk(folder) if Fault.DISK_SLOW in faults else None
        if Fault.DISK_FULL in faults:
            self.disk = held.enter_context(small_disk(folder / "disk"))
        self.environment = {
            **(self.clock.environment if self.clock else {}),
            **(self.slow_disk.environment if self.slow_disk else {}),
        }

    @classmethod
    @contextmanager
    def of(cls, folder: Path, faults: set[Fault]) -> Iterator["Equipped"]:
        """Get it ready. Raises Missing when this machine does not have it."""
        with ExitStack() as held:
            yield cls(folder, faults, held)


class Stage:
    """An installation, who takes part in the step under way, and what is still being mended."""

    def __init__(self, deployment: Deployment, equipped: Equipped, seed: str) -> None:
        self.deployment = deployment
        self.clock, self.disk, self.slow_disk = equipped.clock, equipped.disk, equipped.slow_disk
        self.random = random.Random(seed)
        self.runner: Program
        self.client: Program
        self.jobs: list[str] = []
        self._seed = seed
        self._mending: set[asyncio.Task[None]] = set()
        self._submitted = 0
        self._steps = 0
        self._is_signed_in = False
        self._speed = RUNNER_SPEED

    @property
    def victim(self) -> Program:
        """The server that is struck."""
        return self.random.choice(self.deployment.servers)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Let ``work`` go on beside; the step ends when it has."""
        self._mending.add(asyncio.create_task(work))

    async def start_runner(self) -> None:
        """Start the real runner, again under the token that it has."""
        self.runner = await self.deployment.start_runner("real", fake_speed=self._speed)

    async def play(self, step: Step) -> bool:
        """Bring a job to the point, strike, and let everything end; tell whether the point was reached."""
        self._steps += 1
        trap = self._trap(step)
        course = asyncio.create_task(self._course(step))
        reached = True
        try:
            await asyncio.wait_for(trap.caught.wait(), POINT_SECONDS)
        except TimeoutError:
            reached = False
        else:
            await trap.over()
        self.deployment.proxy.traps.clear()
        await self._mend()
        await self.deployment.simulate(2, prefix="helper", seed=self._seed, manners=CLEAN)
        done, _ = await asyncio.wait({course}, timeout=SETTLE_SECONDS)
        if not done:
            course.cancel()
            await asyncio.gather(course, return_exceptions=True)
            raise AssertionError(f"{step}: a client got no answer within {SETTLE_SECONDS:g} s")
        course.result()
        await self.deployment.settle(SETTLE_SECONDS)
        if self.clock is not None and self.random.random() < 0.5:
            self.clock.jump(0)
        await self.deployment.dismiss()
        await self.deployment.stop_runners()
        return reached

    async def judge(self) -> list[str]:
        """Look at everything as its owner and as somebody else, let time pass, and return what is wrong."""
        deployment = self.deployment
        for job in self.jobs:
            await deployment.stranger.peep(job)
            await deployment.admin.peep(job)
        await deployment.let_time_pass(TWO_HOURS)
        for _ in range(50):
            evidence = Evidence(deployment.history.calls(), await deployment.look())
            if not (found := violations(evidence)):
                break
            # The sweep of a server that has just started is under way.
            await asyncio.sleep(0.1)
        return found

    def _trap(self, step: Step) -> Trap:
        moment, wants = SIGHTS[step.point]
        if step.fault is Fault.ANSWER_LOST and moment is not Moment.PARTLY:
            moment = Moment.ANSWERED
        strike: Strike = STRIKES[step.fault]

        async def action(line: Line) -> None:
            await strike(self, line)

        trap = Trap(moment, wants, action)
        self.deployment.proxy.traps.append(trap)
        return trap

    async def _mend(self) -> None:
        while self._mending:
            mending, self._mending = self._mending, set()
            await asyncio.gather(*mending)
        self.deployment.proxy.weather.turn(None)

    # --- the course of a job ------------------------------------------------------------------------------

    async def _course(self, step: Step) -> None:
        """Let a few jobs go their way, the first of them by the point."""
        self.deployment.admin.doubles = step.fault is Fault.DOUBLED
        if step.fault in TO_CLIENT:
            await self._sign_in()
        if step.point not in (Point.QUEUED, Point.RETRIED):
            await self._man(step)
        is_by_program = step.fault in TO_CLIENT and step.point in UPLOADING
        first = await (self._submit_by_program() if is_by_program else self._submit())
        others = [await self._submit() for _ in range(self.random.randint(0, 3))]
        if first is not None:
            match step.point:
                case Point.RETRIED:
                    await self._ask(partial(self.deployment.admin.cancel, first))
                    await self._ask(partial(self.deployment.admin.retry, first))
                case Point.CANCELLING:
                    await self._until_running(first)
                    await self._end_by(step, "cancel", first)
                case Point.DELETING:
                    await self._until_running(first)
                    await self._end_by(step, "delete", first)
        if step.point in (Point.QUEUED, Point.RETRIED):
            await self._man(step)
        if others and self.random.random() < 0.3:
            await self._ask(partial(self.deployment.admin.cancel, others[0]))
        if others and self.random.random() < 0.2:
            await self._ask(partial(self.deployment.admin.delete, others[-1]))
        self.deployment.admin.doubles = False

    async def _man(self, step: Step) -> None:
        """Let runners come: the real one where a runner is struck, otherwise that or simulated ones."""
        is_for_program = step.fault in TO_CLIENT
        self._speed = SLOW_SPEED if is_for_program else RUNNER_SPEED
        by_chance = step.fault not in BY_MANNERS and self.random.random() < 0.5
        if step.fault in TO_RUNNER or is_for_program or by_chance:
            await self.start_runner()
            return
        manners = {Fault.DOUBLED: DOUBLING, Fault.REORDERED: REORDERING}.get(step.fault, CLUMSY)
        seed = f"{self._seed} {self._steps}"
        await self.deployment.simulate(3, prefix="simulated", seed=seed, manners=manners)

    def _next(self) -> tuple[Path, JobSettings]:
        self._submitted += 1
        lengths = (12.0, 23.5, 31.0, 40.25)
        seconds = max(lengths) if self._speed == SLOW_SPEED else self.random.choice(lengths)
        return recording(self.deployment.folder, seconds), JobSettings(temperature=self._submitted / 1000)

    async def _submit(self) -> str | None:
        job = await self.deployment.admin.submit(*self._next())
        self.jobs.append(job.id)
        return job.id

    async def _until_running(self, job_id: str) -> None:
        """Return when the job has a segment, or has ended before somebody could look."""
        admin = self.deployment.admin
        while not (await admin.job(job_id)).state.is_over and not (await admin.segments(job_id)).next:
            await asyncio.sleep(0.02)

    async def _end_by(self, step: Step, what: str, job_id: str) -> None:
        if step.fault in TO_CLIENT:
            # Gone before it has an answer, it asks for nothing again; the person then asks in another way.
            await self._run_program(what, job_id, *(["--yes"] if what == "delete" else []))
        admin = self.deployment.admin
        await self._ask(partial(admin.cancel if what == "cancel" else admin.delete, job_id))

    async def _ask(self, request: Any) -> None:
        """Ask for something that may have become impossible meanwhile."""
        try:
            await request()
        except (Conflict, NotFound):
            return

    # --- client programs ----------------------------------------------------------------------------------

    async def _sign_in(self) -> None:
        if not self._is_signed_in:
            words = ("projectw", "login", ADMIN, "--password-stdin")
            await asyncio.to_thread(partial(self.deployment.installation.must, *words, stdin=PASSWORD))
            self._is_signed_in = True

    async def _submit_by_program(self) -> str | None:
        path, _ = self._next()
        named = path.with_name(f"by-program-{self._submitted}.wav")
        named.write_bytes(path.read_bytes())
        await self._run_program("submit", str(named))
        return self._newest(named.name)

    def _newest(self, name: str) -> str | None:
        for call in reversed(self.deployment.history.calls()):
            if call.was_taken and call.method == "POST" and (call.reply or {}).get("file_name") == name:
                job: str = call.reply["id"]
                self.jobs.append(job)
                return job
        return None

    async def _run_program(self, *words: str) -> None:
        """Run a client program to its end, which may be that it is killed."""
        installation = self.deployment.installation
        self.client = installation.start_client(*words)
        while self.client.returncode is None:
            await asyncio.sleep(0.02)
        installation.programs.remove(self.client)


async def perform(folder: Path, steps: tuple[Step, ...], seed: str, **options: Any) -> Outcome:
    """Play ``steps`` one after the other on an installation of their own in ``folder``. Raises Missing."""
    with Equipped.of(folder, {step.fault for step in steps}) as equipped:
        data_dir = equipped.disk.folder / "data" if equipped.disk else None
        program = [sys.executable, "-m", "tests.chaos.slow_server"] if equipped.slow_disk else None
        async with Deployment(
            folder, data_dir=data_dir, extra=equipped.environment, program=program, **options
        ) as deployment:
            stage = Stage(deployment, equipped, seed)
            async with asyncio.timeout(STEP_SECONDS * len(steps)):
                reached = [step for step in steps if await stage.play(step)]
                return Outcome(tuple(reached), tuple(await stage.judge()))
