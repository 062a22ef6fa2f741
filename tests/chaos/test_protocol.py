"""Requests of people and runners in random orders, doubled, late and from former lives; the invariants after each."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_shared.messages import Assignment, HeldJob, Result, ResultError
from tests.chaos.protocol import BYTES, SEGMENTS, Doors, Ground
from tests.chaos.recordings import expected, length_of
from tests.server.core import LEASE_SECONDS, MAX_ATTEMPTS

SOME = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 5, 8))
"""How far back what is chosen lies: mostly what came last, for a random choice would mostly be of what is over."""

WHATS = ("cancel", "retry", "delete", "segments")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    ground = Ground(tmp_path_factory.mktemp("protocol"))
    yield ground
    ground.close()


class Session:
    """A registration: of the present, or one that another has ended."""

    def __init__(self, runner: RunnerIdentity, id: str) -> None:
        self.runner = runner
        self.id = id


class Work:
    """A job under a lease, as the runner knows it that once was given it."""

    def __init__(self, session: Session, job: Assignment) -> None:
        self.session = session
        self.job = job
        self.next = job.first


class Protocol(RuleBasedStateMachine):
    """Two people, three runners, and whatever they may say, at any time."""

    ground: Ground

    def __init__(self) -> None:
        super().__init__()
        self.ground.clear()
        self.doors = Doors(self.ground)
        self.people = [self.doors.person(), self.doors.person()]
        self.runners = [self.doors.runner() for _ in range(3)]
        self.jobs: list[tuple[Person, str]] = []
        self.sessions: list[Session] = []
        self.works: list[Work] = []
        self.said: list[tuple[Session, HeldJob]] = []
        self.results: list[tuple[RunnerIdentity, str, Result]] = []
        for runner in range(2):
            self.submits(0)
            self.registers(runner)
            self.wants_a_job(0)

    # --- people -------------------------------------------------------------------------------------------

    @rule(who=SOME)
    def submits(self, who: int) -> None:
        person = chosen(self.people, who)
        self.jobs.append((person, self.doors.submit(person)))

    @precondition(lambda self: self.jobs)
    @rule(which=SOME, again=st.booleans())
    def cancels(self, which: int, again: bool) -> None:
        self._asks("cancel", which, again)

    @precondition(lambda self: self.jobs)
    @rule(which=SOME, again=st.booleans())
    def tries_again(self, which: int, again: bool) -> None:
        self._asks("retry", which, again)

    @precondition(lambda self: self.jobs)
    @rule(which=SOME, what=st.sampled_from(("delete", "segments")), again=st.booleans())
    def deletes_or_reads(self, which: int, what: str, again: bool) -> None:
        self._asks(what, which, again)

    def _asks(self, what: str, which: int, again: bool) -> None:
        owner, job = chosen(self.jobs, which)
        for _ in range(2 if again else 1):
            self.doors.ask(owner, what, job)

    @precondition(lambda self: self.jobs)
    @rule(which=SOME, what=st.sampled_from(WHATS))
    def a_stranger_asks(self, which: int, what: str) -> None:
        owner, job = chosen(self.jobs, which)
        (stranger,) = (person for person in self.people if person is not owner)
        assert not self.doors.ask(stranger, what, job)

    # --- runners ------------------------------------------------------------------------------------------

    @rule(which=SOME)
    def registers(self, which: int) -> None:
        runner = chosen(self.runners, which)
        self.sessions.append(Session(runner, self.doors.register(runner)))

    @precondition(lambda self: self.sessions)
    @rule(which=SOME)
    def unregisters(self, which: int) -> None:
        session = chosen(self.sessions, which)
        self.doors.unregister(session.runner, session.id)

    @precondition(lambda self: self.sessions)
    @rule(which=SOME)
    def wants_a_job(self, which: int) -> None:
        session = chosen(self.sessions, which)
        job = self.doors.beat(session.runner, session.id)
        if job is not None and not any(
            (work.job.id, work.job.lease) == (job.id, job.lease) for work in self.works
        ):
            self.works.append(Work(session, job))

    @precondition(lambda self: self.works)
    @rule(which=SOME, count=st.integers(0, SEGMENTS), again=st.booleans())
    def goes_on(self, which: int, count: int, again: bool) -> None:
        work = chosen(self.works, which)
        segments = whole(work.job)[work.next :][:count]
        held = HeldJob(
            work.job.id, work.job.lease, 0.5, first=work.next, segments=segments, duration=length_of(BYTES),
            resume_at=segments[-1].end if segments else None,
        )  # fmt: skip
        for _ in range(2 if again else 1):
            self.said.append((work.session, held))
            self.doors.beat(work.session.runner, work.session.id, held)
        work.next += len(segments)

    @precondition(lambda self: self.works)
    @rule(which=SOME)
    def leaves_segments_out(self, which: int) -> None:
        work = chosen(self.works, which)
        segments = whole(work.job)[work.next + 1 :]
        if segments:
            held = HeldJob(
                work.job.id,
                work.job.lease,
                0.9,
                first=work.next + 1,
                segments=segments,
                resume_at=segments[-1].end,
            )
            self.doors.beat(work.session.runner, work.session.id, held)

    @precondition(lambda self: self.said)
    @rule(which=SOME)
    def says_again(self, which: int) -> None:
        session, held = chosen(self.said, which)
        self.doors.beat(session.runner, session.id, held)

    @precondition(lambda self: self.works)
    @rule(which=SOME, again=st.booleans())
    def finishes(self, which: int, again: bool) -> None:
        work = chosen(self.works, which)
        if work.next == SEGMENTS:
            result = Result(work.job.lease, next=SEGMENTS, duration=length_of(BYTES))
            self._ends(work, result, again)

    @precondition(lambda self: self.works)
    @rule(which=SOME, retryable=st.booleans(), again=st.booleans())
    def fails(self, which: int, retryable: bool, again: bool) -> None:
        work = chosen(self.works, which)
        error = ResultError("broken", "It broke.", retryable=retryable)
        self._ends(work, Result(work.job.lease, error=error), again)

    @precondition(lambda self: self.results)
    @rule(which=SOME)
    def says_the_result_again(self, which: int) -> None:
        self.doors.finish(*chosen(self.results, which))

    def _ends(self, work: Work, result: Result, again: bool) -> None:
        self.results.append((work.session.runner, work.job.id, result))
        for _ in range(2 if again else 1):
            self.doors.finish(work.session.runner, work.job.id, result)

    # --- the world ----------------------------------------------------------------------------------------

    @rule(leases=st.sampled_from((0.3, 0.9, 1.1)))
    def time_passes(self, leases: float) -> None:
        self.doors.let_pass(leases * LEASE_SECONDS)

    @rule()
    def the_server_restarts(self) -> None:
        self.doors.restart()

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.doors.wrong(is_settled=False) == []

    def teardown(self) -> None:
        """Let a good runner do what is left; then every job has come to its end."""
        runner = self.doors.runner()
        for _ in range(len(self.jobs) * MAX_ATTEMPTS + 1):
            self.doors.let_pass(1.1 * LEASE_SECONDS)
            session = self.doors.register(runner)
            while (job := self.doors.beat(runner, session)) is not None:
                self._do(runner, session, job)
        assert self.doors.wrong(is_settled=True) == []

    def _do(self, runner: RunnerIdentity, session: str, job: Assignment) -> None:
        if segments := whole(job)[job.first :]:
            held = HeldJob(
                job.id, job.lease, 1.0, first=job.first, segments=segments, resume_at=length_of(BYTES)
            )
            self.doors.beat(runner, session, held)
        self.doors.finish(runner, job.id, Result(job.lease, next=SEGMENTS, duration=length_of(BYTES)))


def chosen(among: list[Any], which: int) -> Any:
    return among[-1 - which % len(among)]


def whole(job: Assignment) -> list[Any]:
    return expected(BYTES, job.settings.temperature)


@pytest.mark.timeout(0)  # the profile says how long it may take
def test_no_order_of_requests_loses_anything(ground: Ground) -> None:
    class OnThisGround(Protocol):
        pass

    OnThisGround.ground = ground
    few = settings(
        max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    is_long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(OnThisGround, settings=settings() if is_long else few)
