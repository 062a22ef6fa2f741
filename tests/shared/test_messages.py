"""The wire types: how they look in JSON, and what they refuse."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from projectw_shared.accounts import Refresh, Tokens, User
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import HeartbeatReply, HeldJob, Job, Nothing, Registration, Result, encode
from projectw_shared.transcripts import Segment, Word, text_of

NOW = datetime(2026, 11, 22, 13, 15, tzinfo=UTC)

JOB = Job(
    id="0193", file_name="a.wav", bytes=1, duration=None, state=JobState.QUEUED, cancel_requested=False, progress=0.0,
    position=1, eta=None, settings=JobSettings(), language=None, runner=None, attempts=0, error=None, created_at=NOW,
    started_at=None, finished_at=None, revision=5,
)  # fmt: skip


def test_times_are_written_in_utc_with_a_z() -> None:
    assert b'"created_at":"2026-11-22T13:15:00Z"' in encode(User("1", "a@b", False, NOW))
    assert b'"server_time":"2026-11-22T13:15:00Z"' in encode(HeartbeatReply(None, False, False, NOW))


def test_times_are_read_with_any_offset_as_the_same_moment() -> None:
    body = b'{"id":"1","email":"a@b","is_admin":false,"created_at":"2026-11-22T14:15:00+01:00"}'
    user = msgspec.json.decode(body, type=User)
    assert user.created_at == NOW
    assert user.created_at.utcoffset() == timedelta(hours=1)
    assert user.created_at.astimezone(timezone.utc) == NOW  # noqa: UP017  the name that the standard library documents


def test_a_job_carries_every_field_of_the_contract_absent_ones_as_null() -> None:
    document = msgspec.json.decode(encode(JOB))
    assert set(document) == {
        "id", "file_name", "bytes", "duration", "state", "cancel_requested", "progress", "position", "eta", "settings",
        "language", "runner", "attempts", "error", "created_at", "started_at", "finished_at", "revision",
        "waiting",
    }  # fmt: skip
    assert document["runner"] is None
    assert document["state"] == "queued"
    assert document["settings"] == {
        "model": None, "language": None, "task": "transcribe", "word_timestamps": False, "initial_prompt": None,
        "temperature": 0.0, "beam_size": None, "vad": False, "priority": 0,
    }  # fmt: skip
    assert msgspec.json.decode(encode(JOB), type=Job) == JOB


def test_a_reply_with_fields_of_a_newer_server_is_read() -> None:
    document = {**msgspec.json.decode(encode(JOB)), "speakers": 2}
    assert msgspec.convert(document, Job) == JOB
    assert (
        msgspec.convert(
            {"access_token": "a", "expires_in": 1, "refresh_token": "b", "x": 0}, Tokens
        ).token_type
        == "Bearer"
    )


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (Registration, {"name": "", "version": "1", "engine": "e", "device": "d", "models": []}),
        (Registration, {"name": "n" * 201, "version": "1", "engine": "e", "device": "d", "models": []}),
        (Registration, {"name": "n", "version": "1", "engine": "e", "device": "d", "models": ["m"] * 201}),
        (HeldJob, {"id": "j", "lease": 1, "progress": 1.5}),
        (HeldJob, {"id": "j", "lease": 1, "progress": 0, "resume_at": -1}),
        (
            HeldJob,
            {"id": "j", "lease": 1, "progress": 0, "segments": [{"id": 0, "start": 0, "end": 1, "text": ""}]},
        ),
        (Result, {"lease": 1}),
        (Result, {"lease": 1, "next": 0, "error": {"code": "c", "message": "m"}}),
        (Result, {"lease": 1, "next": -1}),
        (Result, {"lease": 1, "error": {"code": "", "message": "m"}}),
        (Tokens, {"access_token": "a", "expires_in": 10**400, "refresh_token": "b"}),
        (Refresh, {"refresh_token": "x" * 3000}),
        (Segment, {"id": -1, "start": 0, "end": 1, "text": ""}),
        (Segment, {"id": 0, "start": 2, "end": 1, "text": ""}),
        (Segment, {"id": 0, "start": -1, "end": 1, "text": ""}),
        (Segment, {"id": 0, "start": 0, "end": 1e300, "text": ""}),
        (Word, {"word": "w", "start": -1, "end": 1, "probability": 1}),
        (Word, {"word": "w", "start": 0, "end": 1e300, "probability": 1}),
        (HeldJob, {"id": "j", "lease": 1, "progress": 0, "resume_at": 1e308}),
        (Result, {"lease": 1, "next": 0, "duration": 1e308}),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: type[Any], document: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(document, kind)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model": "huge"}, "there is no model 'huge'"),
        ({"language": "xx"}, "no language code"),
        ({"model": "tiny.en", "language": "de"}, "knows English only"),
        ({"model": "tiny.en", "task": "translate"}, "cannot translate"),
        ({"model": "turbo", "task": "translate"}, "not trained to translate"),
        ({"temperature": 1.5}, "between 0 and 1"),
        ({"beam_size": 0}, "between 1 and 20"),
        ({"beam_size": 5, "temperature": 0.5}, "leave one"),
        ({"priority": 11}, "between -10 and 10"),
        ({"initial_prompt": "x" * 2001}, "at most 2000"),
    ],
)
def test_settings_that_no_model_could_honour_are_refused_with_the_reason(
    settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(settings, JobSettings)


def test_settings_that_belong_together_are_accepted() -> None:
    for settings in (
        {"model": "tiny.en", "language": "en"},
        {"task": "translate", "model": "large-v3"},
        {"beam_size": 5},
    ):
        msgspec.convert(settings, JobSettings)


def test_states_say_whether_a_runner_holds_the_job_and_whether_it_is_over() -> None:
    assert [state for state in JobState if state.is_held] == ["assigned", "running"]
    assert [state for state in JobState if state.is_over] == ["succeeded", "failed", "cancelled"]


def test_an_empty_answer_is_an_empty_object() -> None:
    assert encode(Nothing) == b"{}"


def test_the_running_text_is_joined_as_whisper_joins_it() -> None:
    assert text_of([Segment(0, 0, 1, " Hello"), Segment(1, 1, 2, " world. ")]) == "Hello world."
    assert text_of([]) == ""
