import pytest

from projectw_server.jobs.needs import device_class, in_words, need_of, offers_of
from projectw_shared.jobs import JobSettings


@pytest.mark.parametrize(
    ("models", "device", "settings", "can"),
    [
        (["tiny"], "cpu", JobSettings(), True),
        ([], "cpu", JobSettings(), True),
        ([], "cpu", JobSettings(model="tiny"), False),
        (["tiny.en"], "cpu", JobSettings(language="en"), True),
        (["tiny.en"], "cpu", JobSettings(language="de"), False),
        (["tiny.en"], "cpu", JobSettings(task="translate"), False),
        (["turbo"], "cuda", JobSettings(task="translate"), False),
        (["turbo", "base"], "cuda", JobSettings(task="translate"), True),
        (["large-v3-turbo"], "cuda", JobSettings(model="turbo"), True),
        (["large"], "cuda", JobSettings(model="large-v3"), True),
        (["large-v2"], "cuda", JobSettings(model="large"), False),
        (["tiny"], "cpu", JobSettings(device="gpu"), False),
        (["tiny"], "cpu", JobSettings(device=None), True),
        (["tiny"], "cuda:0 (NVIDIA H100)", JobSettings(device="gpu", model="tiny"), True),
        (["tiny"], "CUDA", JobSettings(device="cpu"), False),
    ],
)
def test_a_runner_can_do_what_its_checkpoints_and_its_device_can(
    models: list[str], device: str, settings: JobSettings, can: bool
) -> None:
    assert (need_of(settings) in offers_of(models, device)) is can


def test_a_need_is_said_in_words() -> None:
    assert in_words(need_of(JobSettings(model="large"))) == "large-v3"
    assert in_words(need_of(JobSettings(device="gpu"))) == "any model on a GPU"
    assert in_words(need_of(JobSettings(language="de"))) == "a model that knows other languages than English"


@pytest.mark.parametrize(("word", "kind"), [("cpu", "cpu"), ("none", "cpu"), ("", "cpu"), ("mps", "gpu")])
def test_the_kind_of_a_device_is_read_from_the_runners_word(word: str, kind: str) -> None:
    assert device_class(word) == kind
