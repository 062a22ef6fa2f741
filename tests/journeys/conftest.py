"""Journeys: the real programs on real sockets, ended for certain, their logs shown when something fails."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.installation import Installation
from deploy.programs import SCRIPTS, TAIL_LINES
from deploy.recordings import Clip, RecordingsMissing, cache, joined, librivox
from tests.journeys.world import (
    EMAIL,
    HEARTBEAT_SECONDS,
    LEASE_SECONDS,
    PASSWORD,
    RUNNERS,
    World,
    write_sound,
)

ROUTINE = re.compile(r"(method=GET|path=/api/runners/heartbeat) .*status=200")
"""Lines of the server's log that would hide the others."""

SETTINGS = {"lease_seconds": LEASE_SECONDS, "heartbeat_seconds": HEARTBEAT_SECONDS}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an account and runners, made by the operator's commands; copied for each journey."""
    folder = tmp_path_factory.mktemp("prepared")
    installation = Installation(folder)
    installation.add_user(EMAIL, PASSWORD, admin=True)
    tokens = {name: installation.add_runner(name) for name in RUNNERS}
    (folder / "tokens.json").write_text(json.dumps(tokens))
    return folder


@pytest.fixture
def world(prepared: Path, tmp_path: Path) -> Iterator[World]:
    """A server of its own for each journey, with short leases."""
    shutil.copytree(prepared / "data", tmp_path / "data")
    installation = Installation(tmp_path, server=SETTINGS)
    try:
        yield World(installation, json.loads((prepared / "tokens.json").read_text()))
    finally:
        installation.close()
        # Captured by pytest, and shown when the journey failed.
        for log in sorted(tmp_path.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            told = [line for line in lines if not ROUTINE.search(line)]
            print(f"--- {log.name}", *told[-TAIL_LINES:], sep="\n")


@pytest.fixture
def minute(tmp_path: Path) -> Path:
    """A recording of one minute, which a slow runner takes three seconds for."""
    return write_sound(tmp_path / "minute.wav", 60)


@pytest.fixture(scope="session")
def tiny_en() -> str:
    """The smallest checkpoint's name, fetched once into the user's cache by the runner's own command."""
    pulled = subprocess.run(
        [SCRIPTS / "projectw-runner", "models", "pull", "tiny.en"], capture_output=True, text=True
    )
    if pulled.returncode:
        pytest.skip(pulled.stderr)
    return "tiny.en"


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Twenty-five seconds of a person who reads."""
    try:
        return joined(librivox(cache()), tmp_path_factory.mktemp("speech") / "austen.wav")
    except RecordingsMissing as missing:
        pytest.skip(str(missing))
