"""Tokens of windows, decoded again, and ever warmer, where they look wrong. Imports torch."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from whisper.tokenizer import Tokenizer

from projectw_runner.engines.whisper.decoder import Batch, Decoder
from projectw_runner.engines.whisper.rules import Rules
from projectw_runner.engines.whisper.searching import Written, beams, greedy, sample
from projectw_shared.jobs import JobSettings

# The reference's thresholds (Radford et al. 2022, section 4.5).
_TOO_REPETITIVE: Final = 2.4
_TOO_UNSURE: Final = -1.0
_NO_SPEECH: Final = 0.6

_WARMER: Final = 0.2
_BEST_OF: Final = 5
"""Samples drawn at a temperature above 0, of which the likeliest counts."""


@dataclass(frozen=True)
class Decoded:
    """What the model wrote for a window: tokens, time stamps among them, and how sure it was."""

    tokens: list[int]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    loops: bool = False

    @property
    def is_silence(self) -> bool:
        """The model heard no speech, and is not sure of what it wrote all the same."""
        return self.no_speech_prob > _NO_SPEECH and self.avg_logprob <= _TOO_UNSURE

    @property
    def is_repetitive(self) -> bool:
        """It wrote the same again and again."""
        return self.loops or self.compression_ratio > _TOO_REPETITIVE

    @property
    def is_unsure(self) -> bool:
        """It thought other words nearly as likely."""
        return self.avg_logprob < _TOO_UNSURE

    @property
    def is_doubtful(self) -> bool:
        """Another try at a higher temperature may bring something better."""
        return self.is_repetitive or (self.is_unsure and not self.is_silence)


@dataclass(frozen=True)
class Heard:
    """The states of windows, windows × states × width, and what the model is told of each before it writes."""

    states: Tensor
    prompts: list[list[int]]
    seeds: list[int]

    def part(self, places: Sequence[int]) -> "Heard":
        """Return some of the windows."""
        prompts, seeds = [self.prompts[n] for n in places], [self.seeds[n] for n in places]
        return Heard(self.states[list(places)], prompts, seeds)


class Writer:
    """Decodes windows as ``settings`` ask."""

    def __init__(self, decoder: Decoder, tokenizer: Tokenizer, settings: JobSettings) -> None:
        self._decoder = decoder
        self._tokenizer = tokenizer
        self._settings = settings
        self._rules = Rules(tokenizer, decoder.device)
        self._start = list(tokenizer.sot_sequence)
        self._most = decoder.dims.n_text_ctx // 2
        # One place is for the mark before the prompt; the last token that is written is not read again.
        self._longest_prompt = decoder.dims.n_text_ctx - self._most - len(self._start)

    def first(self, heard: Heard) -> list[Decoded]:
        """Decode each window once, at the temperature that was asked for."""
        return self._once(heard, self._settings.temperature)

    def warmer(self, heard: Heard, decoded: Sequence[Decoded]) -> list[Decoded]:
        """Decode the doubtful windows ever warmer, up to 1, until they are not; if all tries fail, the best counts."""
        made = list(decoded)
        doubtful = [place for place, each in enumerate(made) if each.is_doubtful]
        temperatures = _warmer_than(self._settings.temperature)
        if doubtful and temperatures:
            # All temperatures side by side: what a try would have saved is less than what tries cost one by one.
            drawn = self._write(heard.part(doubtful), temperatures)
            for place, tries in zip(doubtful, drawn, strict=True):
                made[place] = _best([made[place], *tries])
        return made

    def _once(self, heard: Heard, temperature: float) -> list[Decoded]:
        if temperature == 0:
            return [tries[0] for tries in self._write(heard, [0.0])]
        return [
            max(tries, key=lambda each: (not each.loops, each.avg_logprob))
            for tries in self._write(heard, [temperature] * _BEST_OF)
        ]

    def _write(self, heard: Heard, temperatures: Sequence[float]) -> list[list[Decoded]]:
        """Write a text for each window at each temperature; with 0 it is the only one."""
        is_drawn = temperatures[0] > 0
        width = len(temperatures) if is_drawn else (self._settings.beam_size or 1)
        prompts = [self._told(prompt) for prompt in heard.prompts]
        batch = Batch(
            self._decoder,
            self._decoder.cross_memory(heard.states),
            width=width,
            length=max(map(len, prompts)) + self._most,
        )
        logits, at_start = batch.begin(prompts, -len(self._start))
        silence = at_start.softmax(1)[:, self._rules.no_speech].tolist()
        if is_drawn:
            written = sample(
                batch, self._rules, logits, self._most, temperatures=temperatures, seeds=heard.seeds
            )
        else:
            search = beams if width > 1 else greedy
            written = [[text] for text in search(batch, self._rules, logits, self._most)]
        return [
            [self._decoded(text, chance, heat) for text, heat in zip(texts, temperatures, strict=True)]
            for texts, chance in zip(written, silence, strict=True)
        ]

    def _told(self, prompt: list[int]) -> list[int]:
        if not prompt:
            return self._start
        return [self._tokenizer.sot_prev, *prompt[-self._longest_prompt :], *self._start]

    def _decoded(self, written: Written, silence: float, temperature: float) -> Decoded:
        text = self._tokenizer.decode([token for token in written.tokens if token < self._tokenizer.eot])
        return Decoded(
            written.tokens, written.avg_logprob, silence, compression_ratio(text), temperature, written.loops
        )


def compression_ratio(text: str) -> float:
    """Return how much smaller zlib makes a text: high for one that repeats itself."""
    plain = text.strip().encode()
    return len(plain) / len(zlib.compress(plain))


def _warmer_than(temperature: float) -> list[float]:
    steps = int(round((1.0 - temperature) / _WARMER, 6))
    return [round(temperature + n * _WARMER, 6) for n in range(1, steps + 1)]


def _best(tries: list[Decoded]) -> Decoded:
    """Return the first that is good, else the surest that does not repeat itself."""
    for each in tries:
        if not each.is_doubtful:
            return each
    sober = [each for each in tries if not each.is_repetitive]
    if not sober:
        return min(tries, key=lambda each: each.compression_ratio)
    return max(sober, key=lambda each: each.avg_logprob)


@torch.inference_mode()
def language_chances(decoder: Decoder, tokenizer: Tokenizer, states: Tensor) -> list[dict[str, float]]:
    """Return for each window how likely each language is spoken in it."""
    batch = Batch(decoder, decoder.cross_memory(states), length=1)
    logits, _ = batch.begin([[tokenizer.sot]] * len(states), -1)
    chances = logits[:, list(tokenizer.all_language_tokens)].softmax(1).tolist()
    return [dict(zip(tokenizer.all_language_codes, row, strict=True)) for row in chances]
