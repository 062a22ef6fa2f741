"""Every invariant is seen to fail on the history that breaks it, and none on the history of a good run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from projectw_shared.transcripts import Segment
from tests.chaos.history import Call, History, read
from tests.chaos.invariants import INVARIANTS, Evidence, violations
from tests.chaos.recordings import BYTES_PER_SECOND, HEADER_BYTES, expected
from tests.chaos.snapshot import Snapshot, StoredJob

JOB = "00000000-0000-7000-8000-00000000000a"
OTHER = "00000000-0000-7000-8000-00000000000b"
OWNER, STRANGER = "ada", "bob"
SIZE = HEADER_BYTES + 12 * BYTES_PER_SECOND
WHOLE = expected(SIZE, 0.25)


class Story:
    """A run, told call by call; ``stored`` is what it leaves."""

    def __init__(self) -> None:
        self.history = History()
        self.stored = Snapshot(
            {JOB: STORED}, {JOB: list(enumerate(WHOLE))}, [(JOB, 2)], {JOB: SIZE, OTHER: SIZE} | {}
        )
        assert self.stored.recordings is not None
        del self.stored.recordings[OTHER]

    def call(
        self, who: str, method: str, path: str, body: Any, status: int | None, reply: Any = None
    ) -> None:
        number = self.history.ask(who, method, path, body, "key" if path == "/api/jobs" else None)
        if status is not None:
            self.history.answer(number, status, reply)

    def submit(self, job: str = JOB) -> None:
        self.call(OWNER, "POST", "/api/jobs", None, 201, {"id": job})

    def assign(self, lease: int, session: str, job: str = JOB) -> None:
        reply = {"job": {"id": job, "lease": lease}}
        self.call(session, "POST", "/api/runners/heartbeat", {"session": session, "job": None}, 200, reply)

    def beat(self, lease: int, session: str, status: int | None = 200) -> None:
        body = {"session": session, "job": {"id": JOB, "lease": lease}}
        self.call(session, "POST", "/api/runners/heartbeat", body, status, {"job": None})

    def result(self, lease: int, status: int | None = 200, error: Any = None) -> None:
        body = {"lease": lease, "next": None if error else 3, "error": error}
        self.call("gpu", "POST", f"/api/runners/jobs/{JOB}/result", body, status)

    def ask(self, what: str, status: int | None = 200, who: str = OWNER, reply: Any = None) -> None:
        method = "DELETE" if what == "" else "GET" if what in ("segments", "audio") else "POST"
        path = f"/api/jobs/{JOB}" + (f"/{what}" if what else "")
        self.call(who, method, path, None, status, reply)

    def row(self, **changes: Any) -> None:
        self.stored.jobs[JOB] = msgspec.structs.replace(self.stored.jobs[JOB], **changes)

    def found(self, **options: Any) -> set[str]:
        told = violations(Evidence(self.history.calls(), self.stored, **options))
        return {each.partition(":")[0] for each in told}


STORED = StoredJob(
    id=JOB, owner_id=OWNER, idempotency_key="key", bytes=SIZE, settings='{"temperature": 0.25}', state="succeeded",
    cancel_requested=False, attempts=2, lease=2, lease_expires_at=None, runner_id="gpu", segment_count=3,
    duration=12.0, error_code=None,
)  # fmt: skip


@pytest.fixture
def story() -> Story:
    """A job that a first runner lost and a second finished, whose answer was lost, so that it said it twice."""
    story = Story()
    story.submit()
    story.assign(1, "first")
    story.beat(1, "first")
    story.assign(2, "second")
    story.beat(1, "first", 409)
    story.beat(2, "second")
    story.result(2)
    story.result(2)
    story.ask("segments", who=STRANGER, status=404)
    story.ask("segments", reply={"next": 3})
    return story


def test_a_run_in_which_all_went_well_contradicts_nothing(story: Story) -> None:
    assert story.found() == set()


def lost(story: Story) -> None:
    del story.stored.jobs[JOB]
    story.stored.segments.clear()
    story.stored.deliveries.clear()
    assert story.stored.recordings is not None
    story.stored.recordings.clear()


def two_jobs(story: Story) -> None:
    story.submit(OTHER)
    story.stored.jobs[OTHER] = msgspec.structs.replace(
        STORED, id=OTHER, state="cancelled", segment_count=0, runner_id=None
    )
    assert story.stored.recordings is not None
    story.stored.recordings[OTHER] = SIZE


def unfinished(story: Story) -> None:
    story.row(state="queued", runner_id=None)


def second_result(story: Story) -> None:
    story.assign(3, "third")
    story.result(3)
    story.row(lease=3)
    story.stored.deliveries[:] = [(JOB, 3)]


def unsaid_success(story: Story) -> None:
    story.stored.deliveries.clear()


def doubled_delivery(story: Story) -> None:
    story.stored.deliveries.extend([(OTHER, 1), (OTHER, 1)])


def missing_segment(story: Story) -> None:
    del story.stored.segments[JOB][1]


def doubled_segment(story: Story) -> None:
    story.stored.segments[JOB].insert(1, story.stored.segments[JOB][0])


def swapped_segments(story: Story) -> None:
    story.stored.segments[JOB][:2] = [(0, WHOLE[1]), (1, WHOLE[0])]


def strayed_segment(story: Story) -> None:
    story.stored.segments[JOB][1] = (1, expected(SIZE, 0.5)[1])


def torn_segment(story: Story) -> None:
    second = WHOLE[1]
    story.stored.segments[JOB][1] = (1, Segment(1, second.start + 0.5, second.end, second.text))


def early_end(story: Story) -> None:
    del story.stored.segments[JOB][2]
    story.row(segment_count=2)
    story.history = rewritten(story.history, lambda call: not call.route.endswith("/segments"))


def orphaned_segments(story: Story) -> None:
    story.stored.segments[OTHER] = [(0, WHOLE[0])]


def text_taken_back(story: Story) -> None:
    story.ask("segments", reply={"next": 4})


def stranger_reads(story: Story) -> None:
    story.ask("segments", who=STRANGER, reply={"next": 3})


def lease_falls(story: Story) -> None:
    story.assign(1, "first")


def lease_shared(story: Story) -> None:
    story.assign(2, "first")


def lease_forgotten(story: Story) -> None:
    story.row(lease=1)
    story.stored.deliveries[:] = [(JOB, 1)]


def late_beat(story: Story) -> None:
    story.beat(1, "first")


def late_result(story: Story) -> None:
    story.result(1, error={"code": "broken"})


def two_held(story: Story) -> None:
    story.row(state="running", lease_expires_at=1.0)
    story.stored.jobs[OTHER] = msgspec.structs.replace(story.stored.jobs[JOB], id=OTHER, segment_count=0)


def held_by_nobody(story: Story) -> None:
    story.row(state="running", lease_expires_at=1.0, runner_id=None)


def lease_without_holder(story: Story) -> None:
    story.row(lease_expires_at=1.0)


def too_many_attempts(story: Story) -> None:
    story.row(attempts=4)


def failed_for_nothing(story: Story) -> None:
    story.row(state="failed", error_code="runner-lost", attempts=2)


def comes_back(story: Story) -> None:
    story.ask("cancel", reply={"state": "running"})


def given_out_again(story: Story) -> None:
    story.ask("cancel", reply={"state": "cancelled"})
    story.assign(3, "third")
    story.row(state="cancelled", lease=3)


def forgets_the_wish(story: Story) -> None:
    story.ask("cancel", reply={"state": "running"})
    story.row(state="running", lease_expires_at=1.0, cancel_requested=False)


def undeleted(story: Story) -> None:
    story.ask("", 204)


def segments_left(story: Story) -> None:
    story.ask("", 204)
    del story.stored.jobs[JOB]


def recording_gone(story: Story) -> None:
    assert story.stored.recordings is not None
    story.stored.recordings.clear()


def recording_cut(story: Story) -> None:
    assert story.stored.recordings is not None
    story.stored.recordings[JOB] = SIZE - 1


def recording_left(story: Story) -> None:
    assert story.stored.recordings is not None
    story.stored.recordings[OTHER] = SIZE


def upload_left(story: Story) -> None:
    story.stored = replace(story.stored, unfinished=1)


BROKEN: list[tuple[Callable[[Story], None], str]] = [
    (lost, "acknowledged_jobs_are_kept"),
    (two_jobs, "one_key_makes_one_job"),
    (unfinished, "every_job_ends"),
    (second_result, "one_result_a_job"),
    (unsaid_success, "one_result_a_job"),
    (doubled_delivery, "one_result_a_job"),
    (missing_segment, "transcripts_are_whole"),
    (doubled_segment, "transcripts_are_whole"),
    (swapped_segments, "transcripts_are_whole"),
    (strayed_segment, "transcripts_are_whole"),
    (torn_segment, "transcripts_are_whole"),
    (early_end, "transcripts_are_whole"),
    (orphaned_segments, "transcripts_are_whole"),
    (text_taken_back, "what_was_read_stays"),
    (stranger_reads, "strangers_see_nothing"),
    (lease_falls, "leases_grow"),
    (lease_shared, "leases_grow"),
    (lease_forgotten, "leases_grow"),
    (late_beat, "late_runners_change_nothing"),
    (late_result, "late_runners_change_nothing"),
    (two_held, "a_runner_holds_one_job"),
    (held_by_nobody, "a_runner_holds_one_job"),
    (lease_without_holder, "a_runner_holds_one_job"),
    (too_many_attempts, "attempts_are_bounded"),
    (failed_for_nothing, "failures_have_a_cause"),
    (comes_back, "cancelled_jobs_stay"),
    (given_out_again, "cancelled_jobs_stay"),
    (forgets_the_wish, "cancelled_jobs_stay"),
    (undeleted, "deleted_jobs_leave_nothing"),
    (segments_left, "deleted_jobs_leave_nothing"),
    (recording_gone, "recordings_match_jobs"),
    (recording_cut, "recordings_match_jobs"),
    (recording_left, "recordings_match_jobs"),
    (upload_left, "recordings_match_jobs"),
]


@pytest.mark.parametrize(("breaks", "invariant"), BROKEN, ids=lambda it: getattr(it, "__name__", it))
def test_what_breaks_an_invariant_is_found(
    story: Story, breaks: Callable[[Story], None], invariant: str
) -> None:
    breaks(story)
    assert invariant in story.found()


def test_every_invariant_is_seen_to_fail() -> None:
    assert {invariant for _, invariant in BROKEN} == {each.__name__ for each in INVARIANTS}


@pytest.mark.parametrize(
    ("happens", "changes"),
    [
        (lambda it: it.ask("cancel", None), {}),
        (lambda it: (it.ask("cancel", reply={"state": "cancelled"}), it.ask("retry")), {}),
        (lambda it: it.ask("cancel", 409), {}),
        (lambda it: it.ask("", None), {}),
        (lambda it: it.result(1, error={"code": "broken"}, status=409), {}),
        (lambda it: it.result(2, error={"code": "bad"}, status=None), {"state": "failed", "error_code": "bad"}),
    ],
    ids=["unanswered cancel", "cancelled and tried again", "refused cancel", "unanswered deletion", "late and refused",
         "failed by a lost result"],
)  # fmt: skip
def test_what_only_looks_bad_is_not(story: Story, happens: Any, changes: dict[str, Any]) -> None:
    happens(story)
    story.row(**changes)
    assert story.found() == set()


def test_another_result_under_a_lease_that_has_one_is_a_mere_repeat(story: Story) -> None:
    story.history = History()
    story.submit()
    story.assign(1, "first")
    story.result(1, error={"code": "out-of-memory", "retryable": True})
    story.result(1)
    story.assign(2, "second")
    story.result(2)
    assert story.found() == set()


def test_while_faults_last_jobs_may_be_under_way_and_files_without_them(story: Story) -> None:
    unfinished(story)
    recording_left(story)
    assert story.found(is_settled=False) == set()


def test_a_history_is_read_back_as_it_was_also_when_its_end_is_torn(tmp_path: Any) -> None:
    history = History(tmp_path / "history.jsonl")
    first = history.ask("ada", "POST", "/api/jobs?file_name=x", None, "key")
    second = history.ask("gpu", "POST", "/api/runners/heartbeat", {"session": "s"})
    history.answer(first, 201, {"id": JOB})
    history.close()
    lines = (tmp_path / "history.jsonl").read_bytes().splitlines()
    assert read(lines) == history.calls()
    assert read([*lines, b'{"at": 1, "ca']) == history.calls()
    assert [call.answered for call in read(lines)] == [2, None]
    assert second == 1


def rewritten(history: History, keeps: Callable[[Call], bool]) -> History:
    kept = History()
    for call in history.calls():
        if keeps(call):
            number = kept.ask(call.who, call.method, call.path, call.body, call.key)
            if call.status is not None:
                kept.answer(number, call.status, call.reply)
    return kept
