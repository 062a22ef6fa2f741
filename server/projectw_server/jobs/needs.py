"""What a job needs of a runner, and what a runner has to offer: one word each, so that the queue can be indexed by it.

A need is a checkpoint's name, or one of the stars when the job leaves the choice to the runner; with ``@gpu`` or
``@cpu`` behind it where the person who submitted it chose the kind of device.
"""

from collections.abc import Sequence
from typing import Final

from projectw_shared.jobs import JobSettings, is_english_only

ANY: Final = "*"
MULTILINGUAL: Final = "*multilingual"
TRANSLATING: Final = "*translating"

_SAME: Final = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Names of one and the same checkpoint."""

_WORDS: Final = {
    ANY: "any model",
    MULTILINGUAL: "a model that knows other languages than English",
    TRANSLATING: "a model that translates",
}


def need_of(settings: JobSettings) -> str:
    """Return what a job with ``settings`` needs."""
    if settings.model is not None:
        model = _canonical(settings.model)
    elif settings.task == "translate":
        model = TRANSLATING
    elif settings.language not in (None, "en"):
        model = MULTILINGUAL
    else:
        model = ANY
    return f"{model}@{settings.device}" if settings.device else model


def offers_of(models: Sequence[str], device: str) -> tuple[str, ...]:
    """Return every need that a runner with these checkpoints on ``device`` fulfils, in a fixed order.

    A runner that names no checkpoint is taken to have its reasons, and gets the jobs that leave it the choice.
    """
    names = sorted({_canonical(name) for name in models})
    stars = [ANY]
    several = [name for name in names if not is_english_only(name)]
    if several:
        stars.append(MULTILINGUAL)
    if any(name != _SAME["turbo"] for name in several):
        stars.append(TRANSLATING)
    kind = device_class(device)
    return tuple(offer for each in [*stars, *names] for offer in (each, f"{each}@{kind}"))


def device_class(device: str) -> str:
    """Return ``gpu`` or ``cpu`` for a runner's word on its device, as in ``cuda:0 (NVIDIA H100)``."""
    return "gpu" if device.lower().startswith(("cuda", "gpu", "rocm", "mps", "xpu")) else "cpu"


def in_words(need: str) -> str:
    """Return a need as a person says it."""
    model, _, kind = need.partition("@")
    return _WORDS.get(model, model) + (f" on a {kind.upper()}" if kind else "")


def _canonical(model: str) -> str:
    return _SAME.get(model, model)
