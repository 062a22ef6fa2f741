"""Every named point of a job is hit by a fault, and nothing is lost: the short, deterministic part of the long runs."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.faults import Fault, fits
from tests.chaos.occasions import OCCASIONS, celebrate
from tests.chaos.plan import every_pair, scenario
from tests.chaos.points import Point
from tests.chaos.stage import Outcome, Step, perform

pytestmark = pytest.mark.journey

COURSES: Final = {
    "uploads": (
        Step(Point.UPLOAD_BEGUN, Fault.CUT),
        Step(Point.UPLOAD_HALF, Fault.SERVER_KILLED),
        Step(Point.ACKNOWLEDGED, Fault.ANSWER_LOST),
        Step(Point.QUEUED, Fault.SERVER_KILLED),
        Step(Point.RETRIED, Fault.ANSWER_LOST),
    ),
    "work": (
        Step(Point.ASSIGNED, Fault.ANSWER_LOST),
        Step(Point.FETCHING, Fault.CUT),
        Step(Point.RUNNING_EMPTY, Fault.LOSS),
        Step(Point.RUNNING, Fault.DOUBLED),
        Step(Point.RESULT_SENT, Fault.SERVER_KILLED),
    ),
    "runners": (
        Step(Point.BETWEEN, Fault.RUNNER_KILLED),
        Step(Point.RESULT_ANSWERED, Fault.RUNNER_RESTARTED),
        Step(Point.CANCELLING, Fault.ANSWER_LOST),
        Step(Point.DELETING, Fault.REORDERED),
    ),
}


async def test_a_fault_at_every_point_of_a_job_loses_nothing(tmp_path: Path, prepared: Path) -> None:
    folders = {name: tmp_path / name for name in COURSES}
    for folder in folders.values():
        folder.mkdir()
    # Side by side: they mostly wait for leases to run out.
    outcomes = await asyncio.gather(
        *(perform(folders[name], steps, name, prepared=prepared) for name, steps in COURSES.items())
    )
    assert outcomes == [Outcome(steps, ()) for steps in COURSES.values()]


def test_every_point_is_in_one_of_the_courses() -> None:
    assert {step.point for steps in COURSES.values() for step in steps} == set(Point)


@pytest.mark.parametrize(
    "name", ["a poison job", "a poison job for real runners", "two runners with one token"]
)
async def test_an_occasion_ends_well(tmp_path: Path, prepared: Path, name: str) -> None:
    assert await celebrate(tmp_path, name, "1", prepared=prepared) == []


def test_a_scenario_is_a_function_of_its_seed() -> None:
    faults = list(Fault)
    assert [scenario(7, n, faults) for n in range(50)] == [scenario(7, n, faults) for n in range(50)]
    assert [scenario(7, n, faults) for n in range(50)] != [scenario(8, n, faults) for n in range(50)]


def test_the_long_run_knows_every_fault_at_every_point_and_every_occasion() -> None:
    planned = every_pair(list(Fault))
    pairs = {(step.point, step.fault) for each in planned for step in each.steps}
    assert pairs == {(point, fault) for point in Point for fault in Fault if fits(fault, point)}
    assert {each.occasion for each in planned} - {None} == set(OCCASIONS)
