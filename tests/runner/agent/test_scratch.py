"""Recordings do not stay on a runner's disk."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from projectw_runner.scratch import Scratch

DIES = """
import os, sys
from pathlib import Path
from projectw_runner.scratch import Scratch
with Scratch(Path(sys.argv[1])).folder() as folder:
    (folder / "recording").write_bytes(b"private")
    os._exit(1)
"""


def test_a_folder_is_private_and_goes_with_its_job(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Scratch(tmp_path / "jobs").folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "recording").write_bytes(b"private")
        raise RuntimeError
    assert list((tmp_path / "jobs").iterdir()) == []


def test_what_a_killed_runner_left_is_wiped_at_the_next_start(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    assert Scratch(tmp_path).wipe() == 1
    assert list(tmp_path.iterdir()) == []


def test_what_another_runner_is_using_stays(tmp_path: Path) -> None:
    with Scratch(tmp_path).folder() as folder:
        assert Scratch(tmp_path).wipe() == 0
        assert folder.exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job-x").symlink_to(outside)
    Scratch(tmp_path / "jobs").wipe()
    assert outside.exists()
    assert list((tmp_path / "jobs").iterdir()) == []


def test_the_folder_of_all_is_private_even_if_it_was_not(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir(mode=0o755)
    Scratch(tmp_path / "jobs")
    assert stat.S_IMODE((tmp_path / "jobs").stat().st_mode) == 0o700


def test_the_end_of_a_job_takes_along_what_a_killed_neighbour_left(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    with Scratch(tmp_path).folder() as neighbour, scratch.folder():
        subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
        (tmp_path / "stray").write_bytes(b"private")
        assert len(list(tmp_path.iterdir())) == 4
        with scratch.folder():
            pass
        assert len(list(tmp_path.iterdir())) == 2
        assert neighbour.exists()


def test_a_fresh_folder_that_another_start_has_wiped_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment between making and locking, in which a neighbour takes it for left behind."""
    make = tempfile.mkdtemp
    wiped = []

    def wipe_first(prefix: str, dir: Path) -> str:
        made = make(prefix=prefix, dir=dir)
        if not wiped:
            wiped.append(Path(made))
            assert Scratch(tmp_path).wipe() == 1
            wiped[0].mkdir()  # for the lock, whose file is gone right after it
            real = os.open
            monkeypatch.setattr(
                os, "open", lambda path, flags: (real(path, flags), Path(path).rmdir(), monkeypatch.undo())[0]
            )
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", wipe_first)
    with Scratch(tmp_path).folder() as folder:
        assert wiped
        assert folder != wiped[0]
        assert folder.exists()
