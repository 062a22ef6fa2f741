"""Which box is chosen, what each keeps, and what is said of it."""

import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.evil import Stage, stage
from benchmarks.evil.trying import Ears
from projectw_runner.failures import JobFailure
from projectw_runner.media import (
    Bubblewrap,
    Confinement,
    Kernel,
    Limits,
    MediaLimits,
    Part,
    Reading,
    confinement,
    find_confinement,
    find_ffmpeg,
    launcher,
    open_recording,
)
from projectw_runner.media import ffmpeg as tool
from projectw_runner.media.confinement import readable
from projectw_runner.media.limits import Bounds

BOUNDS = Bounds(2**30, 10)

NARROW_KERNEL = """
import sys
sys.path.insert(0, {folder!r})
import launcher
if any(word.startswith({lacking!r}) for word in sys.argv):
    sys.stderr.write("launcher: system call 444: Function not implemented\\n")
    sys.exit(125)
launcher.main(sys.argv[1:])
"""


def program(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/usr/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def without_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def narrow(monkeypatch: pytest.MonkeyPatch, folder: Path, *lacking: str) -> None:
    """Let the launcher fail at what begins with one of ``lacking``, as a kernel does that has not got it."""
    path = folder / "narrow.py"
    path.write_text(NARROW_KERNEL.format(folder=str(Path(launcher.__file__).parent), lacking=lacking))
    monkeypatch.setattr(confinement, "launcher", SimpleNamespace(__file__=str(path)))


@pytest.mark.usefixtures("without_bubblewrap")
def test_without_bubblewrap_the_kernel_is_enough(ffmpeg: Path, there: dict[str, Confinement]) -> None:
    if not there["kernel"].protections.is_whole:
        pytest.skip("this kernel has no Landlock")
    found = find_confinement(ffmpeg, "require")
    assert isinstance(found, Kernel)
    assert found.protections.is_whole
    assert "Landlock" in found.protections.sentence()
    assert "Missing" not in found.protections.sentence()


@pytest.mark.usefixtures("without_bubblewrap")
@pytest.mark.parametrize(
    ("lacking", "whole", "words"),
    [
        (("namespace",), True, "Missing: no network namespace"),
        (("filter",), True, "Missing: no filter of system calls"),
        (("filter", "namespace"), False, "network: as the runner has it"),
        (("read",), False, "Landlock, which takes Linux 5.13"),
        (("read", "namespace", "filter", "user"), False, "bubblewrap is not installed"),
    ],
)
def test_a_kernel_without_a_part_gives_the_rest_and_says_what_is_missing(
    ffmpeg: Path,
    there: dict[str, Confinement],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lacking: tuple[str, ...],
    whole: bool,
    words: str,
) -> None:
    if not there["kernel"].protections.is_whole:
        pytest.skip("this kernel has no Landlock")
    narrow(monkeypatch, tmp_path, *lacking)
    protections = find_confinement(ffmpeg).protections
    assert protections.is_whole is whole
    assert words in protections.sentence()
    if not whole:
        with pytest.raises(JobFailure) as refusal:
            find_confinement(ffmpeg, "require")
        assert refusal.value.code == "decoder-unconfined"


def test_limits_alone_are_taken_at_their_word(ffmpeg: Path) -> None:
    found = find_confinement(ffmpeg, "limits")
    assert isinstance(found, Limits)
    assert not found.protections.is_whole
    assert "the setting confinement" in found.protections.sentence()


def test_a_bubblewrap_that_is_not_permitted_is_found_out(
    ffmpeg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    narrow(monkeypatch, tmp_path, "read")
    found = find_confinement(ffmpeg)
    assert not isinstance(found, Bubblewrap)
    assert "No permissions to create new namespace" in found.protections.sentence()


def test_a_box_that_does_not_hold_is_not_taken(
    ffmpeg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bubblewrap in name alone, which runs the command behind its own words in the open."""
    program(tmp_path, "bwrap", f'while [ "$1" != {ffmpeg.resolve()} ] || [ "$2" = {ffmpeg.resolve()} ] || '
            f'[ "$2" = --chdir ]; do shift; done; exec "$@"')  # fmt: skip
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    narrow(monkeypatch, tmp_path, "read")
    found = find_confinement(ffmpeg)
    assert not isinstance(found, Bubblewrap)
    assert "another file could be read in it" in found.protections.sentence()


def test_an_ffmpeg_that_does_not_work_is_found_out(tmp_path: Path) -> None:
    broken = program(
        tmp_path, "ffmpeg", "printf '\\033[31merror while loading shared libraries' >&2; exit 127"
    )
    with pytest.raises(JobFailure, match="error while loading shared libraries") as failure:
        find_confinement(broken)
    assert failure.value.code == "decoder-broken"
    assert "\033" not in failure.value.message


def test_ffmpeg_on_the_path_is_preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = program(tmp_path, "ffmpeg", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == own
    own.unlink()
    assert "imageio_ffmpeg" in str(find_ffmpeg())


async def test_a_box_that_fails_later_is_no_fault_of_the_recording(
    ffmpeg: Path, make_wav: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = make_wav(seconds=1)  # type: ignore[operator]
    narrow(monkeypatch, tmp_path, "read")
    bwrap = program(tmp_path, "bwrap", "echo 'bwrap: Creating new namespace failed' >&2; exit 1")
    for box in (
        Kernel(Reading.DESCRIPTOR, frozenset({Part.FILES})),
        Bubblewrap(Reading.DESCRIPTOR, bwrap, filtered=False),
    ):
        with pytest.raises(JobFailure) as failure:
            async with open_recording(path, limits=MediaLimits(), ffmpeg=ffmpeg, confinement=box):
                pytest.fail("it was opened")
        assert failure.value.code == "decoder-broken"
        assert failure.value.retryable
        assert str(tmp_path) not in failure.value.message


def test_bubblewrap_hides_all_but_libraries(there: dict[str, Confinement], tmp_path: Path) -> None:
    if not isinstance(box := there.get("bubblewrap"), Bubblewrap):
        pytest.skip("bubblewrap does not work here")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    recording = tmp_path / "recording"
    recording.write_text("the recording\n")
    # Words of the shell itself, because nothing else can be started in there.
    body = f"read x && echo $x; for f in {secret} /etc/passwd /proc/self/status; do read x < $f && echo open; done;"
    spy = program(
        tmp_path, "spy", f"{body} (echo forked); echo /etc/* /home* /root*; echo x > /x && echo wrote"
    )
    own = Bubblewrap(
        box.reading, box.program, filtered=box.filtered
    )  # nobody may not enter this test's folder
    with recording.open() as stdin:
        done = subprocess.run(
            own.command(spy, [], BOUNDS), stdin=stdin, capture_output=True, text=True, check=False
        )
    assert done.stdout.split() == ["the", "recording"], done.stderr


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, ffmpeg: Path) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("scene"), ffmpeg) as made:
        yield made


def test_a_box_keeps_files_and_network_even_from_an_ffmpeg_without_lists(
    there: dict[str, Confinement], scene: Stage
) -> None:
    """With limits alone the same ffmpeg brings the victim's sound and calls, so the test would see it."""
    for name, box in there.items():
        promised = box.protections
        is_open = name == "limits alone"
        if is_open or promised.files:
            ears = Ears()
            ears.hear_pcm(carelessly(box, scene, f"file:{scene.folder}/victim.mp3"))
            assert ears.foreign is is_open, name
        if is_open or promised.network:
            assert calls(box, scene) is is_open, name


def carelessly(box: Confinement, scene: Stage, target: str) -> bytes:
    """Return what an ffmpeg without any of our lists makes of a list with ``target`` in it."""
    with careless(box, scene, target) as process:
        return process.communicate(timeout=60)[0]


def calls(box: Confinement, scene: Stage) -> bool:
    """Return whether the same ffmpeg makes the connection that a list asks for."""
    with careless(box, scene, f"http://127.0.0.1:{scene.port}/a.mp3") as process:
        while not (called := scene.was_called()) and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    return called or scene.was_called()


def careless(box: Confinement, scene: Stage, target: str) -> subprocess.Popen[bytes]:
    (scene.folder / "list").write_text(f"ffconcat version 1.0\nfile {target}\n")
    arguments = [
        *("-nostdin", "-loglevel", "fatal", "-protocol_whitelist", "file,fd,tcp,http,crypto,data"),
        *("-f", "concat", "-safe", "0", "-i", "fd:"),
        *("-ac", "1", "-ar", "16000", "-f", "s16le", "pipe:1"),
    ]
    with (scene.folder / "list").open("rb") as stdin:
        return subprocess.Popen(
            box.command(scene.ffmpeg, arguments, BOUNDS),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=tool.environment(),
        )


async def test_the_same_samples_come_out_of_all(
    ffmpeg: Path, there: dict[str, Confinement], make_wav: object
) -> None:
    path = make_wav(seconds=1, rate=44_100, channels=2)  # type: ignore[operator]
    heard = set()
    for box in there.values():
        async with open_recording(path, limits=MediaLimits(), ffmpeg=ffmpeg, confinement=box) as recording:
            heard.add(recording.read(32_000).tobytes())
    assert len(heard) == 1
    assert len(heard.pop()) == 4 * 16_000


def test_an_installation_of_its_own_kind_may_read_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda/lib:relative:")
    (tmp_path / "bin").mkdir()
    own = program(tmp_path / "bin", "ffmpeg", "exit 0")
    names = readable(own)
    assert {str(own), str(tmp_path / "lib"), "/opt/cuda/lib", "/usr/lib"} <= set(names)
    assert not {"", "relative", "/", "/etc", "/usr", str(tmp_path)} & set(names)
