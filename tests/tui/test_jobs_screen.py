from datetime import UTC, datetime, timedelta

from projectw_shared.errors import IllegalMove
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import JobError, WaitingFor
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.help import HelpScreen
from projectw_tui.screens.transcript import TranscriptScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.job_table import JobTable

from .driving import arrives, lines, row, shows, signed_in, table, text
from .fake_server import FakeServer, history


def names(found: JobTable) -> list[str]:
    return [str(found.get_row_at(place)[1].text) for place in range(found.row_count)]


async def test_jobs_are_listed_newest_first(fake: FakeServer, settings: TuiSettings) -> None:
    for fields in history():
        fake.add(**fields)
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 5)
        shown = text(pilot)
        assert (
            shown.index("Seminar") < shown.index("garden") < shown.index("market") < shown.index("voicemail")
        )
        assert "46%" in row(pilot, "garden")
        assert "2:14" in row(pilot, "garden")
        assert "#1" in row(pilot, "Seminar")
        assert "1:30:10" in row(pilot, "Seminar")


async def test_everything_fits_into_80_by_24(fake: FakeServer, settings: TuiSettings) -> None:
    fake.add(**history()[1])
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "garden" in text(pilot))
        assert len(lines(pilot)) == 24
        await shows(pilot, lambda: "Help" in lines(pilot)[-1])
        assert not table(pilot).show_horizontal_scrollbar


async def test_a_wide_terminal_shows_model_and_language_too(fake: FakeServer, settings: TuiSettings) -> None:
    fake.add(**history()[1])
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "garden" in text(pilot))
        assert "Model" not in text(pilot)
        await pilot.resize_terminal(140, 40)
        await shows(pilot, lambda: "Model" in text(pilot) and "large-v3" in row(pilot, "running"))


async def test_an_empty_list_says_what_to_do(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "Press u to send a recording" in text(pilot))
        fake.add(file_name="first.wav")
        await shows(pilot, lambda: "first.wav" in text(pilot) and "Press u" not in text(pilot))


async def test_progress_changes_cells_and_not_the_list(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.RUNNING, progress=0.1)
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "10%" in text(pilot))
        cleared: list[object] = []
        table(pilot).clear = lambda *_, **__: cleared.append(1)  # type: ignore[method-assign,assignment]
        fake.change(job.id, durable=False, progress=0.7, eta=65.0)
        await shows(pilot, lambda: "70%" in text(pilot))
        assert "1:05" in text(pilot)
        assert not cleared


async def test_late_news_do_not_undo_newer_ones(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(file_name="a.wav")
    async with signed_in(settings, fake.grant()) as pilot:
        fake.change(job.id, state=JobState.RUNNING)
        await shows(pilot, lambda: "running" in text(pilot))
        fake.put(job, durable=False)  # as it was before
        fake.add(file_name="b.wav")
        await shows(pilot, lambda: "b.wav" in text(pilot))
        assert "running" in row(pilot, "a.wav")


async def test_the_cursor_stays_on_its_job_when_another_comes_in(
    fake: FakeServer, settings: TuiSettings
) -> None:
    now = datetime.now(UTC)
    for n in range(3):
        fake.add(file_name=f"old-{n}.wav", created_at=now - timedelta(hours=n + 1))
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 3)
        await pilot.press("down")
        before = table(pilot).selected
        fake.add(file_name="new.wav")
        await shows(pilot, lambda: table(pilot).row_count == 4)
        assert table(pilot).selected == before
        assert names(table(pilot))[0] == "new.wav"


async def test_older_jobs_are_read_as_one_scrolls_there(fake: FakeServer, settings: TuiSettings) -> None:
    now = datetime.now(UTC)
    for n in range(230):
        fake.add(file_name=f"job-{n}.wav", created_at=now - timedelta(minutes=n))
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 100)
        await pilot.press("end")
        await shows(pilot, lambda: table(pilot).row_count == 200)
        await pilot.press("end")
        await shows(pilot, lambda: table(pilot).row_count == 230)
        await pilot.press("end")
        await shows(pilot, lambda: "job-229.wav" in text(pilot))


async def test_the_error_of_a_failed_job_is_shown_in_full(fake: FakeServer, settings: TuiSettings) -> None:
    message = "The recording holds no sound: its only stream is a picture, which cannot be transcribed."
    fake.add(state=JobState.FAILED, error=JobError("no-sound", message))
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "no-sound" in text(pilot))
        detail = " ".join(" ".join(lines(pilot)[-6:]).split())
        assert message in detail


async def test_a_waiting_job_says_why_and_until_when(fake: FakeServer, settings: TuiSettings) -> None:
    reason = WaitingFor("no-capable-runner", "no runner offers large-v3 \x1b[2J[bold]")
    job = fake.add(position=2, waiting=reason)
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "Waits: no runner offers large-v3" in text(pilot))
        assert "[bold]" in text(pilot)
        fake.change(job.id, durable=False, eta=65.0, waiting=WaitingFor("busy", "1 job is before it"))
        await shows(pilot, lambda: "Waits: 1 job is before it; it should be done in 1:05." in text(pilot))


async def test_a_long_error_does_not_push_its_own_row_out_of_sight(
    fake: FakeServer, settings: TuiSettings
) -> None:
    fake.add(file_name="broken.wav", state=JobState.FAILED, error=JobError("x", "Words of an error. " * 12))
    for n in range(30):
        fake.add(file_name=f"{n}.wav")
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 31)
        await pilot.press("end")
        await shows(pilot, lambda: "Words of an error" in text(pilot))
        await shows(pilot, lambda: "✗ failed" in row(pilot, "broken.wav"))


async def test_a_filter_shows_what_contains_the_words(fake: FakeServer, settings: TuiSettings) -> None:
    for name in ("garden.wav", "market.wav", "Garden party.mp3"):
        fake.add(file_name=name)
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 3)
        await pilot.press("slash", *"garden", "enter")
        await shows(pilot, lambda: table(pilot).row_count == 2)
        fake.add(file_name="another market.wav")
        fake.add(file_name="third garden.wav")
        await shows(pilot, lambda: table(pilot).row_count == 3)
        assert "another market" not in text(pilot)
        await pilot.press("escape")
        await shows(pilot, lambda: table(pilot).row_count == 5)


async def test_a_filter_for_a_state_lets_a_job_go_that_leaves_it(
    fake: FakeServer, settings: TuiSettings
) -> None:
    job = fake.add(state=JobState.QUEUED)
    fake.add(state=JobState.SUCCEEDED)
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 2)
        await pilot.press("s")
        await shows(pilot, lambda: table(pilot).row_count == 1)
        fake.change(job.id, state=JobState.RUNNING)
        await shows(pilot, lambda: "No job fits the filter" in text(pilot))


async def test_a_job_is_cancelled(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.RUNNING)
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "running" in text(pilot))
        await pilot.press("c")
        await shows(pilot, lambda: "cancelling" in text(pilot))
        assert fake.jobs[job.id].cancel_requested
        fake.change(job.id, state=JobState.CANCELLED)
        await shows(pilot, lambda: "cancelled" in text(pilot))


async def test_a_failed_job_is_tried_again(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.FAILED)
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "failed" in text(pilot))
        await pilot.press("r")
        await shows(pilot, lambda: "queued" in text(pilot))
    assert fake.jobs[job.id].state is JobState.QUEUED


async def test_deleting_asks_first(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(file_name="precious.wav")
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "precious.wav" in text(pilot))
        await pilot.press("d")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("enter")  # the cursor is on No
        await shows(pilot, lambda: not isinstance(pilot.app.screen, ConfirmScreen))
        assert job.id in fake.jobs
        await pilot.press("d")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("y")
        await shows(pilot, lambda: "precious.wav" not in text(pilot))
    assert not fake.jobs


async def test_marked_jobs_are_moved_together(fake: FakeServer, settings: TuiSettings) -> None:
    for n in range(4):
        fake.add(file_name=f"{n}.wav")
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 4)
        await pilot.press("space", "space", "c")
        await shows(pilot, lambda: text(pilot).count("– cancelled") == 2)
        await pilot.press("home", "space", "space", "space", "d")
        await arrives(pilot, ConfirmScreen)
        assert "Delete 3 jobs?" in text(pilot)
        await pilot.press("y")
        await shows(pilot, lambda: table(pilot).row_count == 1)


async def test_what_the_server_refuses_is_said_in_its_words(fake: FakeServer, settings: TuiSettings) -> None:
    fake.add()
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 1)
        fake.failing = [IllegalMove("The job has just finished.")]
        await pilot.press("c")
        await shows(pilot, lambda: "The job has just finished." in text(pilot))


async def test_a_lost_connection_is_shown_and_mends_itself(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(file_name="a.wav")
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: "● live" in text(pilot) and "a.wav" in text(pilot))
        await fake.stop()
        await shows(pilot, lambda: "reconnecting" in text(pilot))
        fake.change(job.id, state=JobState.SUCCEEDED)
        await fake.start()
        await shows(pilot, lambda: "● live" in text(pilot) and "done" in row(pilot, "a.wav"))


async def test_a_job_deleted_unheard_is_gone_after_the_list_is_read_anew(
    fake: FakeServer, settings: TuiSettings
) -> None:
    fake.add(file_name="stays.wav")
    job = fake.add(file_name="goes.wav")
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 2)
        fake.forgets_events = True
        del fake.jobs[job.id]
        fake.cut()
        await shows(pilot, lambda: table(pilot).row_count == 1)
        assert "stays.wav" in text(pilot)


async def test_enter_opens_the_transcript(fake: FakeServer, settings: TuiSettings) -> None:
    fake.add(settings=JobSettings(model="base"))
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 1)
        await pilot.press("enter")
        await arrives(pilot, TranscriptScreen)


async def test_help_shows_every_key_and_the_palette_every_action(
    fake: FakeServer, settings: TuiSettings
) -> None:
    fake.add()
    async with signed_in(settings, fake.grant(), size=(100, 50)) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 1)
        await pilot.press("question_mark")
        await arrives(pilot, HelpScreen)
        for meaning in ("Send recordings", "Delete the job", "Log out", "Choose the colours", "Mark the job"):
            assert meaning in text(pilot)
        await pilot.press("escape")
        await pilot.press("ctrl+p")
        await shows(pilot, lambda: "Send recordings" in text(pilot) and "Log out" in text(pilot))
        await pilot.press(*"send rec", "enter", "enter")
        await shows(pilot, lambda: "Mark files" in text(pilot))


async def test_q_leaves(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await pilot.press("q")
        await shows(pilot, lambda: not pilot.app.is_running)
