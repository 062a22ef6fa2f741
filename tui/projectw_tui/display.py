"""How lengths, sizes, ages and states are said in a terminal: pure functions, a few cells each."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from projectw_shared.jobs import JobState
from projectw_shared.languages import LANGUAGES
from projectw_shared.messages import Job, RunnerInfo
from projectw_shared.text import safe
from projectw_shared.transcripts import MAX_SECONDS

if TYPE_CHECKING:
    from projectw_shared.accounts import AdminJob, AdminUser

N = TypeVar("N", int, float)

WORDS = {
    JobState.QUEUED: "queued",
    JobState.ASSIGNED: "starting",
    JobState.RUNNING: "running",
    JobState.SUCCEEDED: "done",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}

ICONS = {
    JobState.QUEUED: "○",
    JobState.ASSIGNED: "◔",
    JobState.RUNNING: "●",
    JobState.SUCCEEDED: "✓",
    JobState.FAILED: "✗",
    JobState.CANCELLED: "–",
}


def clock(seconds: float | None) -> str:
    """Return a length or a place in the audio as ``m:ss`` or ``h:mm:ss``; nothing for None."""
    if seconds is None:
        return ""
    # A foreign number: one of three hundred digits would fill the screen.
    minutes, rest = divmod(int(min(max(seconds, 0.0), MAX_SECONDS)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Return bytes with a decimal unit: ``17 MB``."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"


def bounded(used: str, bound: N | None, say: Callable[[N], str]) -> str:
    """Return what is used and of how much: ``17 MB of 1.0 GB``, or without a bound ``17 MB``."""
    return used if bound is None else f"{used} of {say(bound)}"


def age(then: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was, in at most four cells: ``12s``, ``11m``, ``3h``, ``6d``, ``2y``."""
    seconds = max(0, int(((now or datetime.now(UTC)) - in_utc(then)).total_seconds()))
    for unit, length, end in (("s", 1, 60), ("m", 60, 60), ("h", 3600, 48), ("d", 86400, 1000)):
        if seconds // length < end:
            return f"{seconds // length}{unit}"
    return f"{seconds // (365 * 86400)}y"


def in_utc(then: datetime) -> datetime:
    """Return a time that can be compared with others, also when a server has told it without its zone."""
    return then if then.tzinfo is not None else then.replace(tzinfo=UTC)


def minute(moment: datetime | None) -> str:
    """Return a moment to the minute, in UTC; nothing for None."""
    return in_utc(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else ""


def state_word(job: "Job | AdminJob") -> str:
    """Return the state in one word; a running job whose end was asked for is ``cancelling``."""
    return "cancelling" if job.cancel_requested and not job.state.is_over else WORDS[job.state]


def account_state(user: "AdminUser") -> str:
    """Return the state of an account in one word."""
    if user.disabled:
        return "disabled"
    if not user.confirmed:
        return "pending"
    return "admin" if user.is_admin else "user"


def runner_state(runner: RunnerInfo) -> str:
    """Return the state of a runner in one word."""
    if runner.draining:
        return "draining"
    if runner.cordoned:
        return "cordoned"
    if not runner.online:
        return "offline"
    return "working" if runner.job else "idle"


def waiting(job: Job) -> str:
    """Return the time left of a job that runs, or ``#3`` for its place in the queue."""
    if job.position is not None:
        return f"#{job.position}"
    return clock(job.eta) if job.state.is_held else ""


def why_waiting(job: Job) -> str | None:
    """Return a sentence for what a queued job waits for and until when, or None when it does not wait."""
    if job.waiting is None or job.cancel_requested:
        return None
    until = f"; it should be done in {clock(job.eta)}" if job.eta is not None else ""
    return f"Waits: {safe(job.waiting.message)}{until}."


def percent(fraction: float) -> str:
    """Return ``46%``; never 100 before the end."""
    # 0.29 * 100 is a little less than 29.
    return f"{int(max(0.0, min(fraction, 1.0)) * 100 + 1e-9)}%"


def bar(fraction: float, width: int) -> tuple[str, str]:
    """Return a bar of ``width`` cells in two parts, the done one and the rest, in steps of half a cell."""
    halves = round(max(0.0, min(1.0, fraction)) * width * 2)
    full, half = divmod(halves, 2)
    done = "━" * full + "╸" * half
    return done, "─" * (width - len(done))


def language_name(code: str | None) -> str:
    """Return ``German`` for ``de``; a code that is not known stands for itself."""
    return LANGUAGES.get(code, code).title() if code else ""


def in_one_line(details: dict[str, Any]) -> str:
    """Return details as ``name=value`` each; not harmless yet."""
    return " ".join(f"{name}={_plain(value)}" for name, value in details.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
