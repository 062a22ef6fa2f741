"""Recordings do not stay on a runner's disk."""

import stat
import subprocess
import sys
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
