"""Files that were made to harm, each in every box: none may bring another's sound, call out, or cost much."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from benchmarks.evil import EVIL, ODD_NAMES, Evil, Stage, stage
from benchmarks.evil.bombs import BOMBS
from benchmarks.evil.damaged import DAMAGED
from benchmarks.evil.references import REFERENCES
from benchmarks.evil.stage import CANARY, OWN_HERTZ, RATE, content, tone, wav_bytes
from benchmarks.evil.streams import STREAMS
from benchmarks.evil.trying import try_evil
from projectw_runner.media import Confinement, MediaLimits, Reading
from projectw_runner.media.confinement import Protections
from projectw_runner.media.limits import MEBIBYTE, Bounds

REFUSALS = ("unsupported-media", "no-audio", "too-long", "media-limits")
FAMILIES = {"references": REFERENCES, "bombs": BOMBS, "streams": STREAMS, "damaged": DAMAGED}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, ffmpeg: Path) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("scene"), ffmpeg) as made:
        yield made


class Noted:
    """A box that notes what each run in it was allowed to take."""

    def __init__(self, box: Confinement) -> None:
        self._box = box
        self.bounds: list[Bounds] = []

    @property
    def reading(self) -> Reading:
        return self._box.reading

    @property
    def protections(self) -> Protections:
        return self._box.protections

    def command(self, ffmpeg: Path, arguments: list[str], bounds: Bounds) -> list[str]:
        self.bounds.append(bounds)
        return self._box.command(ffmpeg, arguments, bounds)


def own_path(scene: Stage, file_name: str) -> Path:
    """Beside the victim's files, so that a bare name would find them."""
    return scene.folder / file_name


def test_there_are_many_of_many_kinds() -> None:
    assert len(EVIL) == sum(map(len, FAMILIES.values())) > 150


@pytest.mark.parametrize("family", FAMILIES)
def test_each_is_refused_or_bounded_and_brings_nothing_foreign(
    family: str, scene: Stage, confinement: Confinement
) -> None:
    for name, evil in FAMILIES[family].items():
        noted = Noted(confinement)
        outcome = try_evil(evil, scene, own_path(scene, evil.file_name), noted)
        assert not outcome.is_foreign, name
        assert not outcome.called, name
        if evil.verdict == "refused":
            assert outcome.code in REFUSALS, name
            assert outcome.audio_seconds == 0, name
        else:
            assert outcome.code in ("read", *REFUSALS), name
        assert not outcome.retryable, name
        check_words(outcome.message, scene, name)
        check_bounds(noted.bounds, outcome.audio_seconds, name)


def check_words(message: str, scene: Stage, name: str) -> None:
    """Nothing of this machine and nothing that a terminal acts on goes to the server."""
    assert message.isprintable(), name
    assert "/" not in message.replace("FLAC or MP3", ""), name
    for foreign in (str(scene.folder), "victim", CANARY.decode().strip(), "root:", "fd:"):
        assert foreign not in message, name


def check_bounds(bounds: list[Bounds], audio_seconds: float, name: str) -> None:
    """The kernel holds ffmpeg to these, so what was granted is what it can cost."""
    assert sum(each.cpu_seconds for each in bounds) <= 5 + audio_seconds / 20, name
    assert max((each.memory_bytes for each in bounds), default=0) <= 514 * MEBIBYTE, name


@pytest.mark.parametrize("name", ["flac-day", "flac-day-that-says-a-second", "flac-two-hours-in-12-kB"])
def test_a_bomb_is_refused_before_a_single_sample_is_decoded(
    name: str, scene: Stage, confinement: Confinement
) -> None:
    """However slowly an engine would have taken them."""
    noted = Noted(confinement)
    outcome = try_evil(EVIL[name], scene, own_path(scene, "bomb.flac"), noted)
    assert outcome.code == "media-limits" if "two" not in name else outcome.code in REFUSALS
    assert outcome.audio_seconds == 0
    assert len(noted.bounds) == 2


def test_the_test_would_notice_somebody_elses_sound_and_bytes(scene: Stage, confinement: Confinement) -> None:
    sound = (scene.folder / "victim.wav").read_bytes()
    words = wav_bytes((CANARY * 3_000)[:60_000])
    for stolen in (sound, words):
        assert try_evil(content(stolen), scene, own_path(scene, "stolen"), confinement).is_foreign
    own = content(wav_bytes(tone(OWN_HERTZ, 1)))
    assert not try_evil(own, scene, own_path(scene, "own-again"), confinement).is_foreign


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_never_taken_for_an_address_a_pattern_or_an_option(
    name: str, scene: Stage, confinement: Confinement
) -> None:
    own = content(wav_bytes(tone(OWN_HERTZ, 0.5)))
    outcome = try_evil(own, scene, scene.folder / "odd" / name, confinement)
    assert (outcome.code, outcome.audio_seconds) == ("read", 0.5)


def test_the_bounds_grow_with_what_is_honest() -> None:
    limits = MediaLimits()
    hours = 10 * 3600.0
    for bytes_a_second in (2_000, 32_000):
        size = int(hours * bytes_a_second)
        assert not limits.may_unfold(size)
        for stated in (hours, None, 60.0 if bytes_a_second > 4_000 else hours):
            assert limits.for_decoding(size, stated).cpu_seconds >= hours / 20
        assert limits.for_decoding(size, hours).memory_bytes > 512 * MEBIBYTE
    assert limits.for_decoding(10**10, None).cpu_seconds == limits.max_cpu_seconds
    assert limits.for_decoding(10**10, None).memory_bytes == limits.max_memory_bytes
    thirteen_minutes = limits.for_decoding(13 * 60 * 1_000, 13 * 60.0)
    assert thirteen_minutes.cpu_seconds >= 13 * 60 / 20
    assert RATE == 16_000


def both(first: Mapping[str, Evil], second: Mapping[str, Evil]) -> set[str]:
    return set(first) & set(second)


def test_no_name_stands_for_two_files() -> None:
    kinds = list(FAMILIES.values())
    assert not any(both(a, b) for n, a in enumerate(kinds) for b in kinds[n + 1 :])
