"""Weights on a device, and what is said when they do not fit or the device is not there."""

import gc
import subprocess
import sys
import weakref

import pytest
import torch
from whisper.decoding import DecodingOptions, decode

from projectw_runner.engines import Unsupported
from projectw_runner.engines.whisper import loading
from projectw_runner.engines.whisper.hearing import TRIMMED, UNTRIMMED, view_for
from projectw_runner.engines.whisper.loading import Network, choose_device, memory_failures, network_of
from projectw_runner.failures import JobFailure
from tests.runner.engines.whisper.small import random_model

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_a_lack_of_memory_is_a_failure_that_another_runner_may_mend(problem: Exception) -> None:
    cuda = torch.device("cuda", 0)
    with pytest.raises(JobFailure, match="not enough free memory") as failure, memory_failures(cuda):
        raise problem
    assert (failure.value.code, failure.value.retryable) == ("out-of-memory", True)


def test_another_fault_is_passed_on_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="another"), memory_failures(CPU):
        raise RuntimeError("another fault")


def test_a_device_that_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(Unsupported, match="no device; use auto, cpu, cuda") as refusal:
        choose_device("toaster")
    assert refusal.value.setting == "device"
    with pytest.raises(Unsupported, match=r"there is no device cuda:99"):
        choose_device("cuda:99")
    assert choose_device("auto").type in ("cpu", "cuda")


def test_weights_cast_once_hear_and_write_the_same_as_weights_cast_at_every_call() -> None:
    loading.read_vocabulary(False, 99)
    # Checkpoints hold halves.
    whole, once = (random_model(n_vocab=51_864).half().float() for _ in range(2))
    loading.cast(once, torch.float16)
    assert once.encoder.conv1.weight.dtype == torch.float16
    assert once.encoder.ln_post.weight.dtype == torch.float32
    mel = torch.rand(80, 3000, generator=torch.Generator().manual_seed(1)).half()
    options = DecodingOptions(language="en", fp16=True, sample_len=4)
    one, two = decode(whole, mel, options), decode(once, mel, options)
    assert one.audio_features.dtype == torch.float16
    assert torch.equal(one.audio_features, two.audio_features)
    assert one.tokens == two.tokens
    assert one.avg_logprob == two.avg_logprob


@pytest.mark.model
def test_what_a_window_takes_grows_with_the_sequences_written_for_it(network: Network) -> None:
    one, five = network.window_bytes(1), network.window_bytes(5)
    assert 10e6 < one < five < 60e6


@pytest.mark.parametrize(("vocabulary", "languages"), [(51_864, 99), (51_865, 99), (51_866, 100)])
def test_a_network_knows_the_languages_of_its_vocabulary(vocabulary: int, languages: int) -> None:
    network = network_of(random_model(n_vocab=vocabulary, width=8), "tiny", CPU, "float32")
    assert network.is_multilingual == (vocabulary > 51_864)
    assert network.num_languages == languages
    tokenizer = network.tokenizer("en", "transcribe")
    assert tokenizer.timestamp_begin + 1501 == vocabulary


def test_only_models_that_were_measured_see_less_than_half_a_minute() -> None:
    assert view_for("tiny.en") is TRIMMED
    assert view_for("large-v3") is UNTRIMMED


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_whole_weights_are_freed_when_the_products_are_of_eight_bits(part: str) -> None:
    model = random_model(n_vocab=51_864)
    whole = weakref.ref(getattr(model, part).blocks[0].mlp[0].weight)
    network = network_of(model, "tiny.en", CPU, "int8")
    del model
    gc.collect()
    assert str(network.decoder.arithmetic) == "int8"
    assert whole() is None


def test_kept_memory_is_given_back_and_both_may_be_said_twice() -> None:
    # In a process of its own, because what is said to the C library holds for good.
    code = (
        "from projectw_runner.engines.whisper import keep_memory, give_back_memory\n"
        "for _ in range(2): keep_memory()\n"
        "kept = [bytearray(1 << 24) for _ in range(8)]\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "del kept\n"
        "before = resident()\n"
        "for _ in range(2): give_back_memory()\n"
        "print(before - resident())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100 << 20
