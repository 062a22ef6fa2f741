"""Which checkpoint does a job."""

import pytest

from projectw_runner.engines import Task
from projectw_runner.engines.choosing import choose_model
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import JobSettings

HERE = ["tiny.en", "tiny", "base", "medium.en", "large-v3-turbo", "turbo"]


@pytest.mark.parametrize(
    ("settings", "default", "chosen"),
    [
        (JobSettings(), None, "large-v3-turbo"),
        (JobSettings(task="translate"), None, "base"),
        (JobSettings(), "tiny", "tiny"),
        (JobSettings(), "turbo", "large-v3-turbo"),
        (JobSettings(), "large", "large-v3-turbo"),
        (JobSettings(), "tiny.en", "tiny.en"),
        (JobSettings(language="de"), "tiny.en", "large-v3-turbo"),
        (JobSettings(model="turbo"), "tiny", "large-v3-turbo"),
        (JobSettings(model="tiny.en"), None, "tiny.en"),
    ],
)
def test_the_model_is_the_one_named_or_the_best_that_fits(
    settings: JobSettings, default: str | None, chosen: str
) -> None:
    assert choose_model(HERE, Task(settings), default) == chosen


def test_english_alone_serves_only_english() -> None:
    assert choose_model(["tiny.en", "medium.en"], Task(), None) == "medium.en"
    for task in (Task(JobSettings(language="de")), Task(language="de"), Task(JobSettings(task="translate"))):
        with pytest.raises(JobFailure, match=r"it has tiny\.en") as failure:
            choose_model(["tiny.en"], task, None)
        assert failure.value.code == "model-missing"


def test_a_missing_model_is_named_with_those_there_are() -> None:
    with pytest.raises(JobFailure, match="does not have the model medium; it has tiny, base") as failure:
        choose_model(["tiny", "base"], Task(JobSettings(model="medium")), None)
    assert failure.value.code == "model-missing"
    with pytest.raises(JobFailure, match="it has none"):
        choose_model([], Task(), None)
