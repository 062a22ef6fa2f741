import asyncio
import json
import signal
import stat
from pathlib import Path

import pytest

from projectw_shared.errors import Forbidden, UnsupportedMedia
from projectw_shared.jobs import JobState
from projectw_shared.messages import JobError

from .commands import Ended, projectw, start
from .conftest import until
from .fake_server import EMAIL, PASSWORD, FakeServer


async def test_a_log_file_gets_a_line_for_each_request(server: FakeServer, tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    assert (await projectw("--log-file", str(log), "jobs")).code == 0
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert " request method=GET path=/api/jobs status=200 " in log.read_text()
    assert "request_id=" in log.read_text()


async def test_a_log_file_that_cannot_be_written_is_a_sentence(server: FakeServer, tmp_path: Path) -> None:
    ended = await projectw("--log-file", str(tmp_path / "nowhere" / "log"), "jobs")
    assert ended.code == 1
    assert "nowhere" in ended.err
    assert "Traceback" not in ended.err


# --- signing in ---------------------------------------------------------------------------------------------


async def test_one_signs_in_works_and_logs_out(
    fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTW_SERVER", fake.url)
    before = await projectw("jobs")
    assert (before.code, before.out) == (77, "")
    assert "projectw login" in before.err
    signed_in = await projectw("login", EMAIL, "--password-stdin", stdin=f"{PASSWORD}\n".encode())
    assert signed_in.code == 0
    assert EMAIL in signed_in.err
    kept = list((tmp_path / "state").rglob("*.json"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]
    assert PASSWORD not in kept[0].read_text()
    assert (await projectw("jobs")).code == 0
    assert (await projectw("logout")).code == 0
    assert (await projectw("jobs")).code == 77


async def test_signing_in_keeps_a_session_beside_a_given_token(fake: FakeServer, tmp_path: Path) -> None:
    ended = await projectw(
        "--server", fake.url, "login", EMAIL, "--password-stdin",
        stdin=PASSWORD.encode(), PROJECTW_TOKEN="pwt_other",
    )  # fmt: skip
    assert ended.code == 0
    assert "PROJECTW_TOKEN is set" in ended.err
    assert list((tmp_path / "state").rglob("*.json"))


async def test_a_wrong_password_is_not_allowed(fake: FakeServer) -> None:
    ended = await projectw("--server", fake.url, "login", EMAIL, "--password-stdin", stdin=b"wrong")
    assert ended == Ended(77, "", "projectw: The e-mail address or the password is wrong.\n")


async def test_without_a_terminal_the_password_is_not_asked_for(fake: FakeServer) -> None:
    ended = await projectw("--server", fake.url, "login", EMAIL)
    assert ended.code == 2
    assert "--password-stdin" in ended.err


# --- looking ------------------------------------------------------------------------------------------------


async def test_jobs_are_listed_for_people_and_for_programs(server: FakeServer) -> None:
    failed = server.add(file_name="a.wav", state=JobState.FAILED)
    server.add(file_name="b.wav")
    people = await projectw("jobs")
    assert people.code == 0
    assert failed.id in people.out
    assert "b.wav" in people.out
    programs = await projectw("jobs", "--json", "--state", "failed")
    assert [job["file_name"] for job in json.loads(programs.out)] == ["a.wav"]
    assert programs.err == ""


async def test_a_limit_beyond_one_page_is_kept(server: FakeServer) -> None:
    for n in range(230):
        server.add(file_name=f"{n}.wav")
    assert len(json.loads((await projectw("jobs", "--json", "--limit", "210")).out)) == 210


async def test_an_empty_list_is_talk_and_no_data(server: FakeServer) -> None:
    assert await projectw("jobs") == Ended(0, "", "There are no jobs.\n")
    assert json.loads((await projectw("jobs", "--json")).out) == []


async def test_the_end_of_an_id_is_enough(server: FakeServer) -> None:
    job = server.add(file_name="a.wav")
    server.add(file_name="b.wav")
    assert "a.wav" in (await projectw("show", job.id[-12:])).out
    assert json.loads((await projectw("show", job.id, "--json")).out)["id"] == job.id
    assert (await projectw("show", "0000000")).code == 1
    ambiguous = await projectw("show", job.id[:8])
    assert ambiguous.code == 2
    assert "fits 2 jobs" in ambiguous.err


async def test_what_is_no_id_is_never_offered_as_one(server: FakeServer) -> None:
    for n in range(2):
        server.add(id=f"\x1b]0;owned\x07{n}-abcdef")
    assert (await projectw("show", "abcdef")).code == 1


async def test_a_transcript_goes_to_stdout_or_to_a_file(server: FakeServer, tmp_path: Path) -> None:
    job = server.add(state=JobState.SUCCEEDED)
    server.say(job.id, "Grüße.", "Raw \x1b[31m.")
    assert await projectw("transcript", job.id) == Ended(0, "Grüße.\nRaw \x1b[31m.\n", "")
    target = tmp_path / "out.srt"
    ended = await projectw("transcript", job.id, "--format", "srt", "--output", str(target))
    assert (ended.code, ended.out) == (0, "")
    assert target.read_text().startswith("[srt] Grüße.")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    absent = tmp_path / "absent"
    ended = await projectw("transcript", job.id, "--output", str(absent / "out.txt"))
    assert ended == Ended(1, "", f"projectw: {absent}: there is no such folder\n")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (JobState.RUNNING, "the job is running; wait for its end"),
        (JobState.CANCELLED, "the job is cancelled; try it again with: projectw retry"),
    ],
)
async def test_a_transcript_that_is_not_finished_fails_and_says_what_helps(
    server: FakeServer, state: JobState, said: str
) -> None:
    job = server.add(state=state)
    ended = await projectw("transcript", job.id)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err
    assert "/api/" not in ended.err


# --- moving -------------------------------------------------------------------------------------------------


async def test_jobs_are_cancelled_tried_again_and_deleted(server: FakeServer) -> None:
    job = server.add()
    assert (await projectw("cancel", job.id)).code == 0
    assert server.jobs[job.id].state is JobState.CANCELLED
    assert (await projectw("retry", job.id)).code == 0
    assert server.jobs[job.id].state is JobState.QUEUED
    asked = await projectw("delete", job.id)
    assert asked.code == 2
    assert "--yes" in asked.err
    assert (await projectw("delete", job.id, "--yes")).code == 0
    assert not server.jobs


async def test_a_move_that_the_state_forbids_fails_with_the_reason(server: FakeServer) -> None:
    job = server.add(state=JobState.SUCCEEDED)
    ended = await projectw("cancel", job.id)
    assert ended == Ended(1, "", "projectw: A job that has succeeded cannot be cancelled.\n")


# --- sending ------------------------------------------------------------------------------------------------


async def test_submit_prints_the_id(server: FakeServer, recording: Path) -> None:
    ended = await projectw("submit", str(recording), "--model", "base", "--language", "de")
    (job,) = server.jobs.values()
    assert ended == Ended(0, f"{job.id}\n", "")
    assert server.received[job.id] == recording.read_bytes()
    assert (job.settings.model, job.settings.language) == ("base", "de")


async def test_submit_wait_prints_the_transcript(server: FakeServer, recording: Path) -> None:
    running = await start("submit", str(recording), "--wait")
    await until(lambda: server.listeners)
    (job,) = server.jobs.values()
    server.say(job.id, "The text.")
    server.change(job.id, state=JobState.SUCCEEDED)
    assert await running.end() == Ended(0, "The text.\n", "")


async def test_submit_wait_hears_of_an_end_before_it_listens(server: FakeServer, recording: Path) -> None:
    async def finish_at_once() -> None:
        await until(lambda: server.jobs)
        (job,) = server.jobs.values()
        server.say(job.id, "Quick.")
        server.change(job.id, state=JobState.SUCCEEDED)

    finishing = asyncio.ensure_future(finish_at_once())
    ended = await projectw("submit", str(recording), "--wait")
    await finishing
    assert (ended.code, ended.out) == (0, "Quick.\n")


async def test_submit_wait_gives_several_texts_in_the_order_of_the_files(
    server: FakeServer, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("one.wav", "two.wav")]
    for path in files:
        path.write_bytes(b"x")
    running = await start("submit", *map(str, files), "--wait", "--format", "srt")
    await until(lambda: server.listeners)
    one, two = server.jobs.values()
    for job in (two, one):
        server.say(job.id, f"Text of {job.file_name}.")
        server.change(job.id, state=JobState.SUCCEEDED)
    ended = await running.end()
    assert ended.out == "[srt] Text of one.wav.\n[srt] Text of two.wav.\n"


async def test_submit_wait_survives_a_restart_of_the_server(server: FakeServer, recording: Path) -> None:
    running = await start("submit", str(recording), "--wait")
    await until(lambda: server.listeners)
    (job,) = server.jobs.values()
    await until(lambda: server.calls("GET", f"/api/jobs/{job.id}"))
    await server.stop()
    server.say(job.id, "After all.")
    server.change(job.id, state=JobState.SUCCEEDED)
    server.forgets_events = True
    await server.start()
    ended = await running.end()
    assert (ended.code, ended.out) == (0, "After all.\n")
    assert "connection was lost" in ended.err


async def test_submit_wait_fails_with_the_reason_of_the_job(server: FakeServer, recording: Path) -> None:
    running = await start("submit", str(recording), "--wait")
    await until(lambda: server.listeners)
    (job,) = server.jobs.values()
    server.change(job.id, state=JobState.FAILED, error=JobError("no-sound", "It holds no sound."))
    ended = await running.end()
    assert (ended.code, ended.out) == (1, "")
    assert "It holds no sound. (no-sound)" in ended.err


async def test_submit_wait_ends_when_the_job_is_deleted(server: FakeServer, recording: Path) -> None:
    running = await start("submit", str(recording), "--wait")
    await until(lambda: server.listeners)
    server.remove(next(iter(server.jobs)))
    ended = await running.end()
    assert ended.code == 1
    assert "deleted" in ended.err


async def test_submit_writes_texts_to_a_folder(server: FakeServer, recording: Path, tmp_path: Path) -> None:
    running = await start("submit", str(recording), "--wait", "--output-dir", str(tmp_path / "texts"))
    await until(lambda: server.listeners)
    (job,) = server.jobs.values()
    server.say(job.id, "Kept.")
    server.change(job.id, state=JobState.SUCCEEDED)
    assert (await running.end()).out == ""
    assert (tmp_path / "texts" / "speech.txt").read_text() == "Kept.\n"


async def test_texts_that_would_overwrite_each_other_are_refused_before_anything_is_sent(
    server: FakeServer, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "speech.mp3").write_bytes(b"x")
    options = ["--wait", "--output-dir", str(tmp_path / "texts")]
    ended = await projectw("submit", str(recording), str(tmp_path / "speech.mp3"), *options)
    assert ended.code == 2
    assert "would have the same name" in ended.err
    twice = await projectw("submit", str(recording), str(recording))
    assert twice.code == 2
    assert "named twice" in twice.err
    assert not server.requests


async def test_a_folder_for_texts_that_cannot_be_made_is_said_before_anything_is_sent(
    server: FakeServer, recording: Path
) -> None:
    ended = await projectw("submit", str(recording), "--wait", "--output-dir", str(recording / "texts"))
    assert ended.code == 1
    assert "texts" in ended.err
    assert not server.requests


async def test_submit_json_gives_one_document_a_line(server: FakeServer, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.wav", "two.wav")]
    for path in files:
        path.write_bytes(b"x")
    ended = await projectw("submit", *map(str, files), "--json")
    assert [json.loads(line)["file_name"] for line in ended.out.splitlines()] == ["one.wav", "two.wav"]


async def test_a_refused_file_does_not_stop_the_others(server: FakeServer, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.txt", "two.wav")]
    for path in files:
        path.write_bytes(b"x")
    server.failing = [UnsupportedMedia("This is a text, no recording.")]
    ended = await projectw("submit", *map(str, files))
    assert ended.code == 1
    assert "one.txt: This is a text, no recording." in ended.err
    assert [job.file_name for job in server.jobs.values()] == ["two.wav"]


async def test_interrupted_while_waiting_it_says_that_the_job_goes_on(
    server: FakeServer, recording: Path
) -> None:
    running = await start("submit", str(recording), "--wait")
    await until(lambda: server.listeners)
    (job,) = server.jobs.values()
    running.process.send_signal(signal.SIGINT)
    ended = await running.end()
    assert (ended.code, ended.out) == (130, "")
    assert f"goes on at the server; read it later with: projectw transcript {job.id}" in ended.err


async def test_interrupted_while_sending_it_says_that_nothing_is_kept(
    server: FakeServer, recording: Path
) -> None:
    server.upload_gate.clear()
    running = await start("submit", str(recording))
    await until(lambda: server.calls("POST", "/api/jobs"))
    running.process.send_signal(signal.SIGINT)
    ended = await running.end()
    assert ended.code == 130
    assert "broken off; nothing of it is kept" in ended.err
    assert not server.jobs


# --- wrong use ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit"], "Missing argument"),
        (["submit", "absent.wav"], "does not exist"),
        (["submit", ".", "--wait"], "is no file"),
        (["transcript", "x", "--format", "docx"], "docx"),
        (["jobs", "--state", "asleep"], "asleep"),
        (["jobs", "--limit", "0"], "0"),
        (["show", "../../etc"], "no job id"),
        (["unknown"], "unknown"),
        ([], "needs a terminal"),
    ],
)
async def test_wrong_use_is_2(server: FakeServer, arguments: list[str], said: str) -> None:
    ended = await projectw(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "gigantic"], "there is no model 'gigantic'"),
        (["--model", "turbo", "--task", "translate"], "not trained to translate"),
        (["--model", "tiny.en", "--language", "de"], "knows English only"),
        (["--beam-size", "99"], "between 1 and 20"),
        (["--output-dir", "x"], "--output-dir needs --wait"),
    ],
)
async def test_a_wish_that_no_model_honours_is_refused_before_anything_is_sent(
    server: FakeServer, recording: Path, options: list[str], said: str
) -> None:
    ended = await projectw("submit", str(recording), *options)
    assert ended.code == 2
    assert said in ended.err
    assert not server.requests


async def test_a_server_that_is_away_is_69(server: FakeServer, recording: Path) -> None:
    await server.stop()
    ended = await projectw("jobs")
    assert ended.code == 69
    assert "cannot be reached" in ended.err


async def test_what_is_not_allowed_is_77(server: FakeServer) -> None:
    server.failing = [Forbidden("This token may only read.")]
    assert await projectw("cancel", server.add().id) == Ended(77, "", "projectw: This token may only read.\n")


async def test_a_wrong_configuration_is_78_and_names_every_mistake(tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text("tui:\n  servr_url: http://localhost\n  use_keyring: maybe\n")
    for command in (["jobs"], ["config", "check"]):
        ended = await projectw("--config", str(config), *command)
        assert (ended.code, ended.out) == (78, "")
        assert "line 2" in ended.err
        assert "server_url" in ended.err
        assert "line 3" in ended.err


async def test_a_right_configuration_is_said_to_be_right(tmp_path: Path) -> None:
    config = tmp_path / "right.yaml"
    config.write_text("tui:\n  server_url: https://projectw.example.org\n")
    ended = await projectw("--config", str(config), "config", "check")
    assert ended.code == 0
    assert "https://projectw.example.org" in ended.err


async def test_plain_http_to_another_machine_needs_a_word() -> None:
    ended = await projectw("--server", "http://example.org", "jobs")
    assert ended.code == 78
    assert "tui.server_url: http://example.org would send" in ended.err
    assert "unencrypted" in ended.err


async def test_who_is_not_signed_in_is_told_the_command_for_the_server_that_was_meant(
    fake: FakeServer,
) -> None:
    ended = await projectw("--server", fake.url, "jobs")
    assert ended.code == 77
    assert f"run: projectw --server {fake.url} login EMAIL" in ended.err


async def test_logging_out_of_a_server_that_is_away_says_what_has_been_forgotten(fake: FakeServer) -> None:
    options = ["--server", fake.url]
    given = f"{PASSWORD}\n".encode()
    assert (await projectw(*options, "login", EMAIL, "--password-stdin", stdin=given)).code == 0
    await fake.stop()
    ended = await projectw(*options, "logout")
    assert ended.code == 69
    assert "forgotten here" in ended.err
    assert (await projectw(*options, "jobs")).code == 77
