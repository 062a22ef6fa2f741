"""What the console scripts say to a shell: exit codes, stdout for data, stderr for talk."""

import json
import signal
import socket
from pathlib import Path

import pytest

from deploy.installation import Installation
from tests.journeys.world import EMAIL, PASSWORD, World

pytestmark = pytest.mark.journey


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation whose server does not run."""
    return Installation(tmp_path)


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("program", "command", "section"),
    [
        ("projectw-server", ["serve"], "server"),
        ("projectw-server", ["config", "check"], "server"),
        ("projectw-runner", ["run"], "runner"),
        ("projectw", ["jobs"], "tui"),
    ],
)
def test_a_wrong_configuration_is_78_and_names_each_mistake_with_its_line(
    installation: Installation, program: str, command: list[str], section: str
) -> None:
    installation.server_config.write_text(f"{section}:\n  sevrer_url: 7\n  colour: blue\n")
    installation.client_config.write_text(installation.server_config.read_text())
    if program == "projectw-runner":
        installation.client_config.write_text("")
    done = installation.command(program, *command)
    assert done.returncode == 78, done.stderr
    assert done.stdout == ""
    assert "sevrer_url" in done.stderr
    assert "colour" in done.stderr
    assert "2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_not_there_is_78(installation: Installation, tmp_path: Path) -> None:
    installation.server_config = tmp_path / "nothing.yaml"
    done = installation.command("projectw-server", "serve")
    assert done.returncode == 78
    assert "nothing.yaml" in done.stderr


def test_a_server_that_does_not_listen_is_69(installation: Installation, nobody: str) -> None:
    installation.client_config.write_text(json.dumps({"tui": {"server_url": nobody, "use_keyring": False}}))
    done = installation.client("login", EMAIL, "--password-stdin", stdin=PASSWORD)
    assert done.returncode == 69, done.stderr
    assert nobody in done.stderr


def test_a_wrong_password_is_77_and_so_is_a_command_without_a_session(world: World) -> None:
    client = world.installation.client
    refused = client("login", EMAIL, "--password-stdin", stdin="not the password")
    assert refused.returncode == 77, refused.stderr
    assert "password" in refused.stderr
    done = client("jobs")
    assert done.returncode == 77
    assert "login" in done.stderr


def test_a_runner_whose_token_is_refused_leaves_with_77(world: World) -> None:
    runner = world.installation.start_runner("stranger", "pwr_" + "x" * 43, engine="fake")
    assert runner.wait(timeout=60) == 77
    assert "token" in runner.output()


def test_a_wrong_use_is_2(installation: Installation) -> None:
    for program in ("projectw", "projectw-server"):
        assert installation.command(program, "no-such-command").returncode == 2
    assert installation.client("login").returncode == 2


def test_a_server_stops_at_sigterm_with_0_and_takes_its_runner_up_again_when_it_comes_back(
    world: World,
) -> None:
    runner = world.start_runner()
    world.server.send(signal.SIGTERM)
    assert world.server.wait(timeout=15) == 0
    world.server = world.installation.serve()
    world.until(lambda: world.runner("first").online, "the runner is online")
    assert runner.returncode is None
    assert runner.output().count("registered") == 1


def test_a_second_server_on_the_same_data_is_refused(world: World) -> None:
    second = world.installation.command("projectw-server", "serve", "--port", "0")
    assert second.returncode == 1
    assert "already" in second.stderr


def test_commands_for_jobs_give_data_on_stdout_and_talk_on_stderr(world: World, minute: Path) -> None:
    client = world.installation.client
    assert client("login", EMAIL, "--password-stdin", stdin=PASSWORD).returncode == 0
    submitted = client("submit", minute)
    assert submitted.returncode == 0
    job_id = submitted.stdout.strip()
    (listed,) = json.loads(client("jobs", "--json").stdout)
    assert listed["id"] == job_id
    assert client("transcript", job_id).returncode == 1
    cancelled = client("cancel", job_id)
    assert cancelled.returncode == 0
    assert cancelled.stdout == ""
    assert client("delete", job_id, "--yes").returncode == 0
    assert json.loads(client("jobs", "--json").stdout) == []


def test_an_interrupted_submission_says_130_and_the_job_goes_on(world: World, minute: Path) -> None:
    assert world.installation.client("login", EMAIL, "--password-stdin", stdin=PASSWORD).returncode == 0
    waiting = world.installation.start_client("submit", minute, "--wait")
    client = world.installation.client
    (job,) = world.until(lambda: json.loads(client("jobs", "--json").stdout) or None, "the job is submitted")
    waiting.send(signal.SIGINT)
    assert waiting.wait() == 130
    assert world.job(job["id"]).state == "queued"
