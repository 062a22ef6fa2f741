"""What of a job the server has is known exactly, whatever is lost on the way."""

import random

import pytest

from projectw_runner.engines import Step
from projectw_runner.held import SEGMENTS_A_HEARTBEAT, Ending, Held
from projectw_shared.errors import (
    Forbidden,
    Invalid,
    LeaseLost,
    NotFound,
    ProjectWError,
    SessionLost,
    Unauthorized,
)
from projectw_shared.messages import HeldJob

from .fakes import segment


def step(first: int, count: int, resume_at: float) -> Step:
    return Step(tuple(segment(n) for n in range(first, first + count)), resume_at, "en")


def first_unsent(held: Held) -> HeldJob | None:
    return next(held.unsent(), None)


async def test_nothing_is_unsent_before_the_first_step() -> None:
    assert first_unsent(Held("a", 1, first=3, resume_at=30.0)) is None


async def test_a_step_goes_out_once_with_the_place_to_go_on_from() -> None:
    held = Held("a", 1, duration=40.0)
    held.add(step(0, 2, 20.0))
    piece = first_unsent(held)
    assert piece is not None
    assert (piece.first, piece.resume_at, piece.progress, piece.language) == (0, 20.0, 0.5, "en")
    assert [each.id for each in piece.segments or ()] == [0, 1]
    held.note_stored(piece)
    assert first_unsent(held) is None


async def test_silence_moves_the_place_to_go_on_from() -> None:
    held = Held("a", 1, first=3, resume_at=30.0)
    held.add(step(3, 0, 60.0))
    held.add(step(3, 0, 90.0))
    piece = first_unsent(held)
    assert piece is not None
    assert (piece.first, piece.segments, piece.resume_at) == (3, [], 90.0)
    held.note_stored(piece)
    assert first_unsent(held) is None
    assert held.position == 90.0


async def test_what_comes_while_a_piece_is_on_its_way_is_sent_next() -> None:
    held = Held("a", 1)
    held.add(step(0, 1, 10.0))
    piece = first_unsent(held)
    assert piece is not None
    held.add(step(1, 0, 20.0))
    held.add(step(1, 1, 30.0))
    held.note_stored(piece)
    following = first_unsent(held)
    assert following is not None
    assert (following.first, following.resume_at) == (1, 30.0)


async def test_long_backlogs_go_in_pieces_of_whole_steps() -> None:
    held = Held("a", 1)
    for number in range(100):
        held.add(step(number * 7, 7, (number + 1) * 30.0))
    pieces = list(held.unsent())
    assert [piece.first for piece in pieces] == [0, 203, 406, 609]
    assert all(
        (piece.resume_at or 0) / 30 * 7 == (piece.first or 0) + len(piece.segments or ()) for piece in pieces
    )
    assert len(pieces[0].segments or ()) >= SEGMENTS_A_HEARTBEAT


@pytest.mark.parametrize("to", [4, 11])
async def test_a_gap_outside_this_attempt_lets_go_of_the_job(to: int) -> None:
    held = Held("a", 1, first=5)
    held.add(step(5, 5, 50.0))
    held.rewind(to)
    assert held.ending is Ending.LOST


@pytest.mark.parametrize("seed", range(50))
async def test_a_server_that_forgets_and_a_network_that_loses_end_with_the_same_list(seed: int) -> None:
    chance = random.Random(seed)
    held = Held("a", 1, first=2, resume_at=2.0)
    stored, resume_at = 2, 2.0
    for number in range(2, 40):
        held.add(step(number, 1, number + 1.0))
        if chance.random() < 0.2:
            stored = chance.randint(2, stored)
        piece = first_unsent(held)
        if piece is None or chance.random() < 0.3:
            continue
        assert piece.first is not None
        if piece.first > stored:
            held.rewind(stored)
            continue
        end = piece.first + len(piece.segments or ())
        assert piece.resume_at == end
        stored, resume_at = max(stored, end), max(resume_at, piece.resume_at)
        if chance.random() < 0.7:
            held.note_stored(piece)
    held.rewind(stored)
    for piece in held.unsent():
        assert (piece.first or 0) <= stored
        stored, resume_at = (piece.first or 0) + len(piece.segments or ()), piece.resume_at or 0.0
    assert (stored, resume_at) == (40, 40.0)


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (LeaseLost(), Ending.LOST),
        (NotFound(), Ending.LOST),
        (SessionLost(), Ending.EXPELLED),
        (Unauthorized(), Ending.EXPELLED),
        (Forbidden(), Ending.EXPELLED),
        (Invalid(), Ending.REFUSED),
    ],
)
async def test_an_answer_tells_how_the_job_ends(error: ProjectWError, ending: Ending) -> None:
    held = Held("a", 1)
    held.end_after(error)
    assert (held.ending, held.error, held.ended.is_set()) == (ending, error, True)


async def test_of_two_endings_the_graver_counts() -> None:
    held = Held("a", 1)
    for ending in (Ending.ABORTED, Ending.STOPPED, Ending.EXPELLED, Ending.LOST):
        held.end(ending)
    assert held.ending is Ending.EXPELLED
