"""Which checkpoint does a job."""

from collections.abc import Sequence

from projectw_runner.checkpoints import canonical
from projectw_runner.engines import Task
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import MODELS, is_english_only

_NO_TRANSLATORS = ("large-v3-turbo", "turbo")


def choose_model(here: Sequence[str], task: Task, default: str | None) -> str:
    """Return the checkpoint that the job names, else the default, else the largest that can do it.

    ``here``: the names of the checkpoints on this machine. A multilingual one is preferred to one for English
    alone. Raises ``JobFailure``: ``model-missing``.
    """
    settings = task.settings
    if settings.model is not None:
        return _named(settings.model, here)
    fitting = [name for name in here if name == canonical(name) and _can(name, task)]
    if default is not None and canonical(default) in fitting:
        return canonical(default)
    for only_english in (False, True):
        for name in sorted(fitting, key=MODELS.index, reverse=True):
            if is_english_only(name) == only_english:
                return name
    raise JobFailure(
        "model-missing",
        f"This runner has no model for this job; it has {_list(here)}. Its operator can fetch one with "
        "'projectw-runner models pull NAME'.",
        retryable=True,  # at another runner
    )


def _named(name: str, here: Sequence[str]) -> str:
    if canonical(name) in here:
        return canonical(name)
    raise JobFailure(
        "model-missing",
        f"This runner does not have the model {name}; it has {_list(here)}. Its operator can fetch it with "
        f"'projectw-runner models pull {name}'.",
        retryable=True,
    )


def _can(name: str, task: Task) -> bool:
    if is_english_only(name):
        return task.settings.task != "translate" and (task.settings.language or task.language) in (None, "en")
    return task.settings.task != "translate" or name not in _NO_TRANSLATORS


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
