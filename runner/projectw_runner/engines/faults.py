"""Faults on purpose, for the fake engine alone: whoever builds on the server sees what a bad runner does to it."""

import os
import random
import signal
import threading
from collections.abc import Sequence
from typing import Annotated, Literal

import structlog
from msgspec import Meta, Struct

from projectw_runner.engines import Task
from projectw_runner.failures import JobFailure

Point = Literal["start", "between", "end"]


class FakeFault(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that goes wrong at a point of a job: before the first segment, between two, or after the last."""

    fault: Literal["crash", "error", "pause"]
    """crash: the runner's process is killed. error: the job ends with ``code``. pause: nothing happens for ``seconds``
    while the runner goes on to beat; a long one is an engine that hangs, short ones a slow machine."""
    at: Point = "between"
    chance: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """How often, of the times that a job comes to the point."""
    when_prompt: str | None = None
    """Only for jobs whose initial prompt has this in it (default: for all)."""
    code: Annotated[str, Meta(min_length=1, max_length=64)] = "simulated"
    retryable: bool = False
    seconds: Annotated[float, Meta(gt=0)] = 1.0


class Mischief:
    """Lets ``faults`` happen; the same ``seed`` lets the same happen, in the order of points after each start."""

    def __init__(self, faults: Sequence[FakeFault] = (), seed: int | None = None) -> None:
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311  nothing is kept secret by it
        self._log = structlog.get_logger()

    def meet(self, point: Point, task: Task) -> None:
        """Let happen what happens at ``point`` of a job. Raises ``JobFailure``."""
        for fault in self._faults:
            if fault.at == point and _concerns(fault, task) and self._random.random() < fault.chance:
                self._log.warning("a fault on purpose", fault=fault.fault, at=point)
                _happen(fault)


def _concerns(fault: FakeFault, task: Task) -> bool:
    return fault.when_prompt is None or fault.when_prompt in (task.settings.initial_prompt or "")


def _happen(fault: FakeFault) -> None:
    if fault.fault == "crash":
        # As by a loss of power: nothing is said, written or handed back any more.
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.fault == "error":
        raise JobFailure(
            fault.code, "This failure was asked for in the runner's settings.", retryable=fault.retryable
        )
    else:
        threading.Event().wait(fault.seconds)
