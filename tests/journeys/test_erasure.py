"""An account that is deleted in the middle of everything: nothing of it is left, on the server and on its runners."""

from pathlib import Path

import pytest

from tests.journeys.world import SLOW, Refused, World, write_sound
from tests.leftovers import paths_with

pytestmark = pytest.mark.journey

MARKER = "qzx-somebody-who-was-here"

WITHIN_SECONDS = 60.0


def test_nothing_of_a_deleted_account_is_left_on_the_server_and_on_its_runner(
    world: World, tmp_path: Path
) -> None:
    world.start_runner(fake_speed=SLOW)
    somebody = world.another_person(f"{MARKER}@example.org")
    recording = write_sound(tmp_path / "elsewhere.wav", 60)
    mark = f"LIST{MARKER}".encode()
    recording.write_bytes(recording.read_bytes() + mark)
    held = somebody.submit(recording, f"{MARKER}.wav", initial_prompt=MARKER)
    somebody.submit(recording, f"{MARKER}-2.wav")
    somebody.until_segments(held.id, 2)
    programs = world.installation.folder
    searched = (MARKER.encode(), mark)

    def places() -> list[Path]:
        return [path for part in ("data", "first") for path in paths_with(programs / part, *searched)]

    assert any(path.is_relative_to(programs / "data") for path in places())
    assert any(path.is_relative_to(programs / "first") for path in places()), "the runner holds it"

    somebody.delete_account()

    with pytest.raises(Refused) as refused:
        somebody.job(held.id)
    assert refused.value.status == 401
    world.until(lambda: places() == [], "nothing is found", timeout=WITHIN_SECONDS)
    logs = [path for path in programs.glob("*.log") if MARKER.encode() in path.read_bytes()]
    assert logs == []
    following = world.submit(write_sound(tmp_path / "short.wav", 10))
    assert world.until_over(following.id).state.is_over
