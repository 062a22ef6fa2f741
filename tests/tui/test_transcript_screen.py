from pathlib import Path

import pytest
from textual.widgets import Input, Select

from projectw_shared.jobs import JobState
from projectw_shared.messages import JobError
from projectw_shared.transcripts import Segment
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.export import ExportScreen, export_name
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.transcript import TranscriptScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.transcript_view import TranscriptView

from .driving import Pilot, arrives, lines, row, shows, signed_in, table, text
from .fake_server import FakeServer


async def open_first(pilot: Pilot[None]) -> TranscriptView:
    await shows(pilot, lambda: table(pilot).row_count == 1)
    await pilot.press("enter")
    return (await arrives(pilot, TranscriptScreen)).view


def sentences(count: int, first: int = 0) -> list[str]:
    return [f"Sentence number {n}." for n in range(first, first + count)]


async def test_a_transcript_grows_as_it_is_made(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.RUNNING, progress=0.1)
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        await shows(pilot, lambda: "Listening" in text(pilot))
        fake.say(job.id, "Hello there.", "How are you?")
        await shows(pilot, lambda: "How are you?" in text(pilot))
        assert "0:04" in row(pilot, "How are you?")
        fake.change(job.id, state=JobState.SUCCEEDED, progress=1.0)
        await shows(pilot, lambda: "done" in text(pilot))


async def test_the_end_is_followed_until_one_scrolls_up(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.RUNNING)
    fake.say(job.id, *sentences(60))
    async with signed_in(settings, fake.grant()) as pilot:
        view = await open_first(pilot)
        await shows(pilot, lambda: "Sentence number 59." in text(pilot) and "following" in text(pilot))
        fake.say(job.id, *sentences(30, first=60))
        await shows(pilot, lambda: "Sentence number 89." in text(pilot))
        await pilot.press("up", "up")
        await shows(pilot, lambda: "following" not in text(pilot))
        place = view.scroll_y
        fake.say(job.id, *sentences(30, first=90))
        await shows(pilot, lambda: "120 segments" in text(pilot))
        assert view.scroll_y == place
        await pilot.press("f")
        await shows(pilot, lambda: "Sentence number 119." in text(pilot) and "following" in text(pilot))


async def test_one_jumps_to_the_start_and_to_the_end(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.SUCCEEDED)
    fake.say(job.id, *sentences(200))
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        await shows(pilot, lambda: "Sentence number 0." in text(pilot))
        await pilot.press("G")
        await shows(pilot, lambda: "Sentence number 199." in text(pilot))
        await pilot.press("g")
        await shows(pilot, lambda: "Sentence number 0." in text(pilot))


async def test_words_are_found_one_after_the_other(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.SUCCEEDED)
    fake.say(job.id, *sentences(50), "The needle is here.", *sentences(50), "Another NEEDLE.", *sentences(30))
    async with signed_in(settings, fake.grant()) as pilot:
        view = await open_first(pilot)
        await shows(pilot, lambda: "132 segments" in text(pilot))
        await pilot.press("slash", *"needle", "enter")
        await shows(pilot, lambda: "The needle is here." in text(pilot) and "1 of 2" in text(pilot))
        await pilot.press("n")
        await shows(pilot, lambda: "Another NEEDLE." in text(pilot) and "2 of 2" in text(pilot))
        await pilot.press("N")
        await shows(pilot, lambda: "The needle is here." in text(pilot))
        await pilot.press("slash", *"absent", "enter")
        await shows(pilot, lambda: "no absent" in text(pilot))
        await pilot.press("escape")
        await shows(pilot, lambda: not view.words)
        await pilot.press("escape")
        await arrives(pilot, JobsScreen)


async def test_what_is_missed_while_the_line_is_down_is_fetched(
    fake: FakeServer, settings: TuiSettings
) -> None:
    job = fake.add(state=JobState.RUNNING)
    fake.say(job.id, "First.")
    async with signed_in(settings, fake.grant()) as pilot:
        view = await open_first(pilot)
        await shows(pilot, lambda: "First." in text(pilot))
        fake.forgets_events = True
        await fake.stop()
        fake.say(job.id, "Second.", "Third.")
        await fake.start()
        await shows(pilot, lambda: "Third." in text(pilot))
        assert [segment.text for segment in view.lines.segments] == ["First.", "Second.", "Third."]


async def test_a_gap_in_the_news_is_closed_by_asking(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.RUNNING)
    async with signed_in(settings, fake.grant()) as pilot:
        view = await open_first(pilot)
        await shows(pilot, lambda: fake.calls("GET", f"/api/jobs/{job.id}/segments"))
        fake.segments[job.id] = [Segment(id=0, start=0.0, end=1.0, text="Unheard.")]
        fake.say(job.id, "Heard.")
        await shows(pilot, lambda: view.next == 2)
        assert "Unheard." in text(pilot)


async def test_a_hundred_thousand_segments_open_and_scroll(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.SUCCEEDED)
    fake.segments[job.id] = [
        Segment(
            id=n, start=n * 2.0, end=n * 2.0 + 2, text=f" This is sentence number {n} of a very long day."
        )
        for n in range(100_000)
    ]
    async with signed_in(settings, fake.grant()) as pilot:
        view = await open_first(pilot)
        await shows(pilot, lambda: "100,000 segments" in text(pilot))
        drawn: list[int] = []
        original = view.lines.text_at
        view.lines.text_at = lambda *place: drawn.append(1) or original(*place)  # type: ignore[method-assign,func-returns-value]
        await pilot.press("G")
        await shows(pilot, lambda: "sentence number 99999" in text(pilot))
        assert len(drawn) < 500


async def test_a_new_width_keeps_the_place(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.SUCCEEDED)
    fake.say(job.id, *(f"Sentence number {n}: " + "word " * 25 for n in range(100)))
    async with signed_in(settings, fake.grant(), size=(100, 30)) as pilot:
        view = await open_first(pilot)
        await shows(pilot, lambda: "100 segments" in text(pilot))
        view.scroll_to(y=view.lines.line_of(50), animate=False)
        await shows(pilot, lambda: "Sentence number 50:" in lines(pilot)[3])
        await pilot.resize_terminal(60, 24)
        await shows(pilot, lambda: "Sentence number 50:" in lines(pilot)[3])


async def test_a_failed_job_shows_why_it_has_no_text(fake: FakeServer, settings: TuiSettings) -> None:
    fake.add(state=JobState.FAILED, error=JobError("no-sound", "The recording holds no sound."))
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        await shows(
            pilot, lambda: "The recording holds no sound." in text(pilot) and "no-sound" in text(pilot)
        )


async def test_a_job_that_is_deleted_elsewhere_leads_back_to_the_list(
    fake: FakeServer, settings: TuiSettings
) -> None:
    job = fake.add(state=JobState.SUCCEEDED)
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        fake.remove(job.id)
        await arrives(pilot, JobsScreen)
        await shows(pilot, lambda: "The job was deleted." in text(pilot))


async def test_the_text_is_copied_through_the_terminal(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.SUCCEEDED)
    fake.say(job.id, "Copy me.", "And me.")
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        await shows(pilot, lambda: "And me." in text(pilot))
        await pilot.press("y")
        await shows(pilot, lambda: "Copied 16 characters." in text(pilot))
        assert pilot.app.clipboard == "Copy me.\nAnd me."


async def test_a_text_too_long_for_a_terminal_is_not_copied(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add(state=JobState.SUCCEEDED)
    fake.say(job.id, *["word " * 100] * 200)
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        await shows(pilot, lambda: "200 segments" in text(pilot))
        await pilot.press("y")
        await shows(pilot, lambda: [note.message for note in pilot.app._notifications])
        assert "export it instead" in next(iter(pilot.app._notifications)).message
        assert not pilot.app.clipboard


async def test_a_transcript_is_exported_and_no_file_replaced_unasked(
    fake: FakeServer, settings: TuiSettings, tmp_path: Path
) -> None:
    job = fake.add(state=JobState.SUCCEEDED, file_name="talk.wav")
    fake.say(job.id, "Said.")
    target = tmp_path / "talk.srt"
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        await pilot.press("e")
        screen = await arrives(pilot, ExportScreen)
        screen.query_one("#format", Select).value = "srt"
        await shows(pilot, lambda: screen.query_one("#target", Input).value == str(target))
        await pilot.press("ctrl+s")
        await shows(pilot, target.exists)
        assert target.read_text() == "[srt] Said.\n"
        target.write_text("mine")
        await pilot.press("e")
        screen = await arrives(pilot, ExportScreen)
        screen.query_one("#target", Input).value = str(target)
        await pilot.press("ctrl+s")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("n")
        await arrives(pilot, ExportScreen)
    assert target.read_text() == "mine"


async def test_an_export_that_cannot_be_written_says_why(
    fake: FakeServer, settings: TuiSettings, tmp_path: Path
) -> None:
    fake.add(state=JobState.SUCCEEDED)
    async with signed_in(settings, fake.grant()) as pilot:
        await open_first(pilot)
        await pilot.press("e")
        screen = await arrives(pilot, ExportScreen)
        for wrong, reason in ((tmp_path / "no" / "x.txt", "does not exist"), (tmp_path, "is a folder")):
            screen.query_one("#target", Input).value = str(wrong)
            await pilot.press("ctrl+s")
            await shows(pilot, lambda reason=reason: reason in text(pilot))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("file_name", "target"),
    [
        ("talk.wav", "talk.txt"),
        ("../../etc/passwd", "passwd.txt"),
        (".hidden", "hidden.txt"),
        ("..", "transcript.txt"),
        ("a/..", "transcript.txt"),
        ("C:\\talk.wav", "talk.txt"),
        ("a\x1b[2Jb.wav", "a_[2Jb.txt"),
    ],
)
def test_an_export_stays_in_its_folder(file_name: str, target: str) -> None:
    name = export_name(file_name, "txt")
    assert name == target
    assert "/" not in name
    assert name.isprintable()
