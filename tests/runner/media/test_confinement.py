import stat
import subprocess
from pathlib import Path

import pytest

from projectw_runner.failures import JobFailure
from projectw_runner.media import Confinement, MediaLimits, find_confinement, find_ffmpeg, open_recording


def program(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/usr/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_without_bubblewrap_the_limits_remain_and_the_reason_is_said(
    ffmpeg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_confinement(ffmpeg)
    assert found.bubblewrap is None
    assert "install the package bubblewrap" in found.sentence()


def test_a_bubblewrap_that_is_not_permitted_is_found_out(
    ffmpeg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = find_confinement(ffmpeg)
    assert found.bubblewrap is None
    assert "No permissions to create new namespace" in found.sentence()


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


async def test_the_box_hides_all_but_the_recording(box: Confinement, tmp_path: Path) -> None:
    if box.bubblewrap is None:
        pytest.skip(box.reason)
    assert str(box.bubblewrap) in box.sentence()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    recording = tmp_path / "tone.wav"
    recording.write_bytes(b"RIFF")
    spy = program(
        tmp_path,
        "spy",
        f"cat {secret} /etc/passwd; ls -d {tmp_path}/* /recording; cat /proc/net/dev; echo x > /recording; "
        "echo end",
    )
    prefix, name = box.command(spy, recording)
    assert name == "/recording"
    done = subprocess.run(prefix, capture_output=True, text=True)
    assert set(done.stdout.split()) == {str(spy), "/recording", "end"}
    assert recording.read_bytes() == b"RIFF"


async def test_the_same_samples_come_out_of_either(ffmpeg: Path, box: Confinement, make_wav: object) -> None:
    path = make_wav(seconds=1, rate=44_100, channels=2)  # type: ignore[operator]
    heard = []
    for confinement in (box, Confinement(None, "")):
        async with open_recording(
            path, limits=MediaLimits(), ffmpeg=ffmpeg, confinement=confinement
        ) as recording:
            heard.append(recording.read(32_000).tobytes())
    assert heard[0] == heard[1]
    assert len(heard[0]) == 4 * 16_000
