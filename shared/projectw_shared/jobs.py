"""A job's states and settings."""

from enum import StrEnum
from typing import Literal

import msgspec

from projectw_shared.languages import LANGUAGES

MODELS = (
    "tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium",
    "large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo",
)  # fmt: skip
"""The checkpoints that openai-whisper 20250625 knows, smallest first; ``large`` is ``large-v3``,
``turbo`` is ``large-v3-turbo``."""

MAX_PROMPT_CHARACTERS = 2_000


class JobState(StrEnum):
    """Where a job stands. The last three are ends."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_held(self) -> bool:
        """A runner holds a lease on the job."""
        return self in (JobState.ASSIGNED, JobState.RUNNING)

    @property
    def is_over(self) -> bool:
        """Nothing more happens unless a person asks for it."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobSettings(msgspec.Struct, frozen=True, omit_defaults=False):
    """What a person may ask of a transcription. Everything is optional.

    ``model`` is null when the runner is to choose; ``language`` is an ISO 639-1 code (Whisper adds a few
    of three letters) or null to detect it. ``priority`` runs from -10 to 10, above 0 for admins only. ``device``
    is the kind of device that the job wants to wait for; null or left out, it takes whichever comes first.
    """

    model: str | None = None
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    word_timestamps: bool = False
    initial_prompt: str | None = None
    temperature: float = 0.0
    beam_size: int | None = None
    vad: bool = False
    priority: int = 0
    device: Literal["cpu", "gpu"] | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        """Refuse, with the reason, what no model could honour."""
        for reason in _objections(self):
            raise ValueError(reason)


def _objections(wish: JobSettings) -> list[str]:
    return [
        reason
        for applies, reason in (
            (
                wish.model is not None and wish.model not in MODELS,
                f"there is no model {wish.model!r}; the models are {', '.join(MODELS)}",
            ),
            (
                wish.language is not None and wish.language not in LANGUAGES,
                f"{wish.language!r} is no language code that Whisper knows, such as 'en' or 'de'; "
                "leave it out to have the language detected",
            ),
            (
                is_english_only(wish.model) and wish.language not in (None, "en"),
                f"{wish.model} knows English only; for {wish.language!r} choose a model without '.en'",
            ),
            (
                is_english_only(wish.model) and wish.task == "translate",
                f"{wish.model} cannot translate; choose a model without '.en'",
            ),
            (
                wish.model in ("turbo", "large-v3-turbo") and wish.task == "translate",
                "turbo was not trained to translate and would answer in the language spoken; "
                "choose large-v3 or medium",
            ),
            (not 0 <= wish.temperature <= 1, "temperature is between 0 and 1"),
            (
                wish.beam_size is not None and not 1 <= wish.beam_size <= 20,
                "beam_size is between 1 and 20",
            ),
            (
                wish.beam_size is not None and wish.temperature > 0,
                "a beam search has no temperature: leave one of beam_size and temperature out",
            ),
            (not -10 <= wish.priority <= 10, "priority is between -10 and 10"),
            (
                wish.initial_prompt is not None and len(wish.initial_prompt) > MAX_PROMPT_CHARACTERS,
                f"initial_prompt has at most {MAX_PROMPT_CHARACTERS} characters",
            ),
        )
        if applies
    ]


def is_english_only(model: str | None) -> bool:
    """Tell whether a checkpoint was trained on English alone."""
    return model is not None and model.endswith(".en")
