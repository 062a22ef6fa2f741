import asyncio
import stat
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from projectw_runner.failures import JobFailure
from projectw_runner.media import Confinement, Limits, MediaLimits, Reading, RecordingClosed, open_recording

ReadAll = Callable[..., Awaitable[NDArray[np.float32]]]
Make = Callable[..., Path]

OPEN_AIR = Limits(Reading.DESCRIPTOR)


def script(folder: Path, body: str) -> Path:
    """A program in ffmpeg's place: it looks at the header, says nothing of the length, and decodes by ``body``."""
    path = folder / "ffmpeg"
    header = "RIFF\\0\\0\\0\\0WAVEfmt \\020\\0\\0\\0\\001\\0\\001\\0\\200\\076\\0\\0\\0\\175\\0\\0\\002\\0\\020\\0data"
    look = f"printf '{header}\\377\\377\\377\\377\\0\\0\\0\\0'; exit 0"
    path.write_text(f'#!/bin/sh\ncase "$*" in *frames:a*) {look};; *progress*) exit 0;; esac\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def test_samples_are_the_tone_that_was_recorded(make_wav: Make, read_all: ReadAll) -> None:
    samples = await read_all(make_wav(seconds=2))
    assert samples.dtype == np.float32
    expected = 12_000 / 32_768 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    assert np.abs(samples - expected).max() < 1e-3


FORMATS = (
    "x.w64 x.mp3 x.flac x.ogg x.opus x.m4a x.mp4 x.mov x.mkv x.webm x.aac x.ac3 x.aiff x.wma x.caf x.au x.ts "
    "x.mpg x.avi x.flv x.wv x.tta x.amr x.3gp x.mp2"
)


@pytest.mark.parametrize("name", FORMATS.split())
async def test_every_honest_format_is_read(
    name: str, make_wav: Make, encode: Make, read_all: ReadAll
) -> None:
    narrow = ["-ar", "8000", "-ac", "1"] if name in ("x.amr", "x.3gp") else ["-ar", "48000", "-ac", "2"]
    codec = ["-c:a", "libopencore_amrnb"] if narrow[1] == "8000" else []
    path = encode(name, "-i", make_wav(seconds=2), *narrow, *codec)
    samples = await read_all(path)
    assert len(samples) / 16_000 == pytest.approx(2, abs=0.2)
    assert np.abs(samples[8_000:24_000]).max() > 0.1


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 44_100, 192_000, 384_000])
async def test_every_rate_becomes_16_khz(rate: int, make_wav: Make, read_all: ReadAll) -> None:
    samples = await read_all(make_wav(seconds=0.5, rate=rate))
    assert len(samples) == pytest.approx(8_000, abs=20)


async def test_a_film_gives_its_sound_and_its_pictures_are_not_decoded(
    encode: Make, make_wav: Make, read_all: ReadAll
) -> None:
    film = encode("film.mp4", "-f", "lavfi", "-i", "testsrc=d=2:s=64x64", "-i", make_wav(seconds=2))
    assert len(await read_all(film)) == pytest.approx(32_000, abs=2_000)


async def test_a_film_without_sound_is_told_so(encode: Make, read_all: ReadAll) -> None:
    film = encode("film.mp4", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64")
    with pytest.raises(JobFailure, match="no sound") as failure:
        await read_all(film)
    assert failure.value.code == "no-audio"


async def test_a_recording_of_no_length_is_told_so(make_wav: Make, read_all: ReadAll) -> None:
    with pytest.raises(JobFailure, match="no sound") as failure:
        await read_all(make_wav(seconds=0))
    assert failure.value.code == "no-audio"


@pytest.mark.parametrize("content", [b"", b"Dear diary, nothing was recorded today.\n" * 100])
async def test_what_is_no_recording_is_told_so(content: bytes, tmp_path: Path, read_all: ReadAll) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(JobFailure, match="cannot be read as a recording") as failure:
        await read_all(path)
    assert failure.value.code == "unsupported-media"


async def test_too_long_is_said_before_the_work_when_the_header_tells(
    make_wav: Make, ffmpeg: Path, confinement: Confinement
) -> None:
    with pytest.raises(JobFailure, match="hours") as failure:
        async with open_recording(
            make_wav(seconds=3), limits=MediaLimits(max_seconds=2), ffmpeg=ffmpeg, confinement=confinement
        ):
            pytest.fail("the recording was opened")
    assert failure.value.code == "too-long"


async def test_length_and_position_are_told(make_wav: Make, ffmpeg: Path, confinement: Confinement) -> None:
    async with open_recording(
        make_wav(seconds=2), limits=MediaLimits(), ffmpeg=ffmpeg, confinement=confinement
    ) as recording:
        assert recording.duration == pytest.approx(2)
        assert len(recording.read(20_000)) == 20_000
        assert recording.position == 1.25
        assert len(recording.read(20_000)) == 12_000
        assert recording.position == 2.0
        assert len(recording.read(20_000)) == 0


async def test_the_child_has_its_limits(make_wav: Make, tmp_path: Path) -> None:
    fake = script(tmp_path, "ulimit -c; ulimit -f; ulimit -n; ulimit -v; ulimit -t; printf '%b' '\\0'")
    limits = MediaLimits()
    async with open_recording(make_wav(), limits=limits, ffmpeg=fake, confinement=OPEN_AIR) as recording:
        facts = (recording.read(1_000) * 32_768).astype("<i2").tobytes().decode().split()
    assert facts[:5] == ["0", "0", "64", str((512 * 2**20 + make_wav().stat().st_size) // 1024), "2"]
    limits = MediaLimits(max_memory_bytes=400 * 2**20, max_cpu_seconds=1)
    async with open_recording(make_wav(), limits=limits, ffmpeg=fake, confinement=OPEN_AIR) as recording:
        facts = (recording.read(1_000) * 32_768).astype("<i2").tobytes().decode().split()
    assert facts[3:5] == ["409600", "1"]


async def test_a_child_that_takes_too_much_memory_ends_the_job_with_a_sentence(
    make_wav: Make, ffmpeg: Path, confinement: Confinement
) -> None:
    limits = MediaLimits(max_memory_bytes=2**22)
    with pytest.raises(JobFailure):
        async with open_recording(make_wav(), limits=limits, ffmpeg=ffmpeg, confinement=confinement):
            pytest.fail("ffmpeg started in 4 MiB")


async def test_a_child_killed_for_its_time_is_told_as_a_limit(make_wav: Make, tmp_path: Path) -> None:
    fake = script(tmp_path, "while :; do :; done")
    limits = MediaLimits(max_cpu_seconds=1)
    async with open_recording(make_wav(), limits=limits, ffmpeg=fake, confinement=OPEN_AIR) as recording:
        with pytest.raises(JobFailure) as failure:
            await asyncio.to_thread(recording.read, 100)
    assert failure.value.code == "media-limits"


async def test_a_child_that_computes_without_a_result_is_given_up(make_wav: Make, tmp_path: Path) -> None:
    fake = script(tmp_path, "exec sleep 1000")
    limits = MediaLimits(max_stall_seconds=2.0)
    async with open_recording(make_wav(), limits=limits, ffmpeg=fake, confinement=OPEN_AIR) as recording:
        with pytest.raises(JobFailure) as failure:
            await asyncio.to_thread(recording.read, 100)
    assert failure.value.code == "media-limits"


async def test_a_failing_end_is_no_end(make_wav: Make, tmp_path: Path) -> None:
    fake = script(tmp_path, "head -c 3200 /dev/zero; exit 1")
    async with open_recording(
        make_wav(), limits=MediaLimits(), ffmpeg=fake, confinement=OPEN_AIR
    ) as recording:
        assert len(recording.read(1_600)) == 1_600
        with pytest.raises(JobFailure) as failure:
            recording.read(1_600)
    assert failure.value.code == "unsupported-media"


async def test_a_talkative_child_does_not_block(make_wav: Make, tmp_path: Path) -> None:
    fake = script(
        tmp_path, "head -c 3000000 /dev/zero >&2; head -c 3200 /dev/zero; head -c 3000000 /dev/zero >&2"
    )
    async with open_recording(
        make_wav(), limits=MediaLimits(), ffmpeg=fake, confinement=OPEN_AIR
    ) as recording:
        assert len(await asyncio.to_thread(recording.read, 10_000)) == 1_600


async def test_closing_wakes_a_blocked_reader_and_kills_the_whole_group(
    make_wav: Make, tmp_path: Path
) -> None:
    fake = script(tmp_path, "sleep 1000 & echo $!; wait")
    async with open_recording(
        make_wav(), limits=MediaLimits(), ffmpeg=fake, confinement=OPEN_AIR
    ) as recording:
        assert len(recording.read(2)) == 2  # the first digits of the grandchild's number, as samples
        family = psutil.Process().children(recursive=True)
        assert len(family) == 2
        reading = asyncio.create_task(asyncio.to_thread(recording.read, 16_000))
        await asyncio.sleep(0)
        recording.close()
        with pytest.raises(RecordingClosed):
            await reading
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


async def test_nothing_is_left_when_the_task_is_cancelled(
    make_wav: Make, ffmpeg: Path, confinement: Confinement
) -> None:
    opened = asyncio.Event()

    async def work() -> None:
        async with open_recording(
            make_wav(seconds=60), limits=MediaLimits(), ffmpeg=ffmpeg, confinement=confinement
        ):
            opened.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await opened.wait()
    assert psutil.Process().children(recursive=True)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    assert not alive


async def test_a_cancelled_look_leaves_nothing(make_wav: Make, tmp_path: Path) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nsleep 1000\n")
    fake.chmod(0o755)

    async def work() -> None:
        async with open_recording(make_wav(), limits=MediaLimits(), ffmpeg=fake, confinement=OPEN_AIR):
            pytest.fail("nothing was decoded")

    task = asyncio.create_task(work())
    while not psutil.Process().children(recursive=True):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    assert not alive


async def test_it_is_decoded_while_nobody_reads_up_to_a_bound(
    make_wav: Make, ffmpeg: Path, confinement: Confinement
) -> None:
    """ffmpeg is through with what fits, and stops at a full pipe where it does not: its time stops growing."""
    path = make_wav(seconds=120)
    for limits, ends in ((MediaLimits(), True), (MediaLimits(read_ahead_seconds=10), False)):
        async with open_recording(path, limits=limits, ffmpeg=ffmpeg, confinement=confinement) as recording:
            child = psutil.Process().children(recursive=True)[-1]
            while _status(child) not in (
                (psutil.STATUS_ZOMBIE, "gone") if ends else (psutil.STATUS_SLEEPING, psutil.STATUS_DISK_SLEEP)
            ):
                await asyncio.sleep(0.01)
            assert recording.position == 0
            total = 0
            while count := len(recording.read(48_000)):
                assert count <= 48_000
                total += count
        assert total == 120 * 16_000


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return "gone"


async def test_a_slow_reader_does_not_make_a_stalled_child(make_wav: Make, tmp_path: Path) -> None:
    """The reader takes longer than the child may be silent, which is longer than the child takes to start."""
    fake = script(tmp_path, "head -c 4000000 /dev/zero")
    limits = MediaLimits(max_stall_seconds=3, read_ahead_seconds=1)
    async with open_recording(make_wav(), limits=limits, ffmpeg=fake, confinement=OPEN_AIR) as recording:
        assert len(recording.read(16_000)) == 16_000
        await asyncio.sleep(3.2)
        assert len(await asyncio.to_thread(recording.read, 2_000_000)) == 2_000_000 - 16_000


async def test_a_skip_over_hours_holds_no_more_than_what_is_read_ahead(
    make_wav: Make, tmp_path: Path
) -> None:
    seconds, block = 2 * 3600, 30 * 16_000
    fake = script(tmp_path, f"head -c {seconds * 32_000} /dev/zero; printf '%b' '\\001\\001'")
    limits = MediaLimits(max_seconds_per_byte=1, read_ahead_seconds=60)
    async with open_recording(make_wav(), limits=limits, ffmpeg=fake, confinement=OPEN_AIR) as recording:
        tracemalloc.start()
        try:
            while recording.position < seconds:
                assert len(recording.read(block)) == block
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(recording.read(block)) == 1
    assert peak < limits.read_ahead_bytes + 4 * 4 * block


async def test_a_failure_comes_after_the_samples_that_were_decoded_before_it(
    make_wav: Make, tmp_path: Path
) -> None:
    fake = script(tmp_path, "head -c 320000 /dev/zero; exit 1")
    async with open_recording(
        make_wav(), limits=MediaLimits(), ffmpeg=fake, confinement=OPEN_AIR
    ) as recording:
        while psutil.Process().children():  # the failure is known before anything is read
            await asyncio.sleep(0.01)
        for _ in range(10):
            assert len(recording.read(16_000)) == 16_000
        for _ in range(2):
            with pytest.raises(JobFailure) as failure:
                recording.read(16_000)
            assert failure.value.code == "unsupported-media"


async def test_nothing_is_left_of_a_recording_that_was_closed_in_the_middle(
    make_wav: Make, tmp_path: Path
) -> None:
    fake = script(tmp_path, "exec cat /dev/zero")
    limits = MediaLimits(read_ahead_seconds=5)
    before = threading.active_count()
    async with open_recording(make_wav(), limits=limits, ffmpeg=fake, confinement=OPEN_AIR) as recording:
        assert len(await asyncio.to_thread(recording.read, 16_000)) == 16_000
    with pytest.raises(RecordingClosed):
        recording.read(1)
    assert not psutil.Process().children()
    assert not [each for each in threading.enumerate() if each.name.startswith("read-ahead")]
    assert threading.active_count() <= before + 1  # the loop's own helper
