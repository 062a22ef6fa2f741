"""Which scenarios a run plays: a function of its seed alone, so that any of them can be played again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.faults import Fault, fits
from tests.chaos.occasions import OCCASIONS
from tests.chaos.points import Point
from tests.chaos.stage import Step

MOST_STEPS = 3
OCCASION_SHARE = 0.1


@dataclass(frozen=True)
class Scenario:
    """Faults at points of a few jobs one after the other, or one of the named occasions."""

    number: int
    seed: str
    steps: tuple[Step, ...] = ()
    occasion: str | None = None

    def __str__(self) -> str:
        return f"{self.number}: {self.occasion or ', then '.join(map(str, self.steps))}"


def scenario(seed: int, number: int, faults: Sequence[Fault]) -> Scenario:
    """Return the scenario ``number`` of the run with ``seed``, made of ``faults``."""
    its_seed = f"{seed}/{number}"
    chance = random.Random(its_seed)
    if chance.random() < OCCASION_SHARE and set(faults) == set(Fault):
        return Scenario(number, its_seed, occasion=chance.choice(sorted(OCCASIONS)))
    pairs = [Step(point, fault) for fault in faults for point in Point if fits(fault, point)]
    return Scenario(
        number, its_seed, tuple(chance.sample(pairs, chance.randint(1, min(MOST_STEPS, len(pairs)))))
    )


def every_pair(faults: Sequence[Fault]) -> list[Scenario]:
    """Return each fault at each point that it fits, and each occasion, once."""
    steps = [Step(point, fault) for fault in faults for point in Point if fits(fault, point)]
    pairs = [Scenario(number, f"every {step}", (step,)) for number, step in enumerate(steps)]
    occasions = sorted(OCCASIONS) if set(faults) == set(Fault) else []
    return pairs + [
        Scenario(number, f"every {name}", occasion=name) for number, name in enumerate(occasions, len(pairs))
    ]


def endless(seed: int, faults: Sequence[Fault]) -> Iterator[Scenario]:
    """Yield scenarios for ever."""
    number = 0
    while True:
        yield scenario(seed, number, faults)
        number += 1
