"""One job and one request, followed through the logs of three programs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deploy.installation import Installation
from tests.journeys.conftest import SETTINGS
from tests.journeys.world import EMAIL, PASSWORD

pytestmark = pytest.mark.journey

WORDS = "name-that-nobody-else-may-read"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_job_is_followed_from_the_terminal_through_the_server_to_the_runner(
    prepared: Path, tmp_path: Path, minute: Path
) -> None:
    shutil.copytree(prepared / "data", tmp_path / "data")
    token = json.loads((prepared / "tokens.json").read_text())["first"]
    installation = Installation(tmp_path, server={**SETTINGS, "log_format": "json"})
    log = tmp_path / "terminal.log"
    recording = minute.rename(tmp_path / f"{WORDS}.wav")
    try:
        server = installation.serve()
        runner = installation.start_runner("first", token, engine="fake", log_format="json")
        document = json.loads(installation.client_config.read_text())
        document["tui"] |= {"log_file": str(log), "log_format": "json"}
        installation.client_config.write_text(json.dumps(document))
        installation.must("projectw", "login", EMAIL, "--password-stdin", stdin=PASSWORD)
        job_id = installation.must("projectw", "submit", recording).stdout.strip()
        server.wait_for("job succeeded")
        runner.wait_for(f"jobs/{job_id}/result")
        told_by_server, told_by_runner = lines(server.output()), lines(runner.output())
    finally:
        installation.close()

    about = [line for line in told_by_server if line.get("job_id") == job_id]
    moves = [line["event"] for line in about if line["event"] != "request"]
    assert moves == ["job submitted", "job assigned", "first text", "job succeeded"]
    assigned = next(line for line in about if line["event"] == "job assigned")

    told_by_terminal = [line for line in lines(log.read_text()) if line.get("job_id") == job_id]
    (sent,) = [line for line in told_by_terminal if line["method"] == "POST"]
    taken = [line["event"] for line in about if line.get("request_id") == sent["request_id"]]
    assert set(taken) == {"job submitted", "request"}

    work = [line for line in told_by_runner if line.get("job_id") == job_id]
    assert {"job begins", "job done", "request"} <= {line["event"] for line in work}
    assert {line["lease"] for line in work} == {assigned["lease"]}
    delivered = next(line for line in work if line.get("path", "").endswith("/result"))
    finished = next(line for line in about if line["event"] == "job succeeded")
    assert finished["request_id"] == delivered["request_id"]
    assert finished["runner"] == assigned["runner"]

    assert WORDS not in json.dumps([told_by_server, told_by_runner])
