"""One recording's way through the model, batch by batch of windows. Imports torch."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor
from whisper.tokenizer import Tokenizer

from projectw_runner.engines import Task
from projectw_runner.engines.whisper.decoding import Decoded, Heard, Writer, language_chances
from projectw_runner.engines.whisper.hearing import WHOLE, spectrograms
from projectw_runner.engines.whisper.loading import Network
from projectw_runner.engines.whisper.splitting import Placed, Split, split
from projectw_runner.engines.whisper.windows import FRAME, Window
from projectw_runner.engines.whisper.words import align, place
from projectw_shared.transcripts import Segment, Word

_TOO_HOT: Final = 0.5
"""Text that was sampled at a higher temperature than this does not guide what follows."""

_MISSED: Final = 1.0
"""Seconds of speech behind the last time stamp that are looked at again though the model took itself to be done."""

_UNFINISHED: Final = 0.3
"""The same when the model left a segment open."""

_ROUNDS: Final = 8
"""How often the rest of a window goes into another batch; each time at least a segment is done."""

_SPOKEN: Final = 0.1
"""The part of a segment in which someone has to speak, or the model has to be sure of it."""

_SURE: Final = -0.7
_HEARD_SPEECH: Final = 0.3

_ALIGNED: Final = 16
"""Passages whose words are placed together."""

_PROMPT: Final = 111
"""Tokens of the job's own prompt that each window is told at most, half of what there is room for."""


@dataclass(frozen=True)
class _Passage:
    """What was written in a window, or in the rest of one."""

    window: Window
    decoded: Decoded
    split: Split
    states: Tensor
    rest: Window | None = None
    """What was left to another passage."""

    @property
    def frames(self) -> int:
        """How many frames of the spectrogram its text lies in."""
        return self.window.frames if self.rest is None else (self.rest.start - self.window.start) // FRAME


class Transcription:
    """What is known of one recording so far: its language, and how many segments it has.

    Each window is decoded by itself: it is told nothing of the windows before it, so they can be computed side by
    side, and none passes on its mistakes. All are told the job's own prompt. How much silence the encoder sees behind
    a window depends on the longest beside it, and so, now and then, does a comma.
    """

    def __init__(self, task: Task) -> None:
        self._settings = task.settings
        self._count = task.first
        self._last_speech = self._last_end = task.previous[-1].end if task.previous else 0.0
        self._writer: Writer | None = None
        self._tokenizer: Tokenizer | None = None
        self.language = task.settings.language or task.language
        """The language as far as it is known: detected on the first windows with speech."""

    def restart(self) -> None:
        """Forget what belongs to a network, because it is another one from now on."""
        self._writer = self._tokenizer = None

    @torch.inference_mode()
    def batch(self, network: Network, windows: Sequence[Window]) -> list[Segment]:
        """Return the segments of windows that are decoded together, and of what they left over."""
        is_known = self.language is not None
        segments: list[Segment] = []
        try:
            segments = self._batch(network, windows)
        finally:
            if not is_known and not segments:
                # Noise has no language, and a batch that failed may be tried in parts: what comes is asked anew.
                self.language = None
                self.restart()
        return segments

    def _batch(self, network: Network, windows: Sequence[Window]) -> list[Segment]:
        found: list[list[_Passage]] = [[] for _ in windows]
        pending: list[tuple[int, Window, list[int]]] = [(n, window, []) for n, window in enumerate(windows)]
        for _ in range(_ROUNDS):
            if not pending:
                break
            passages = self._decode(
                network, [window for _, window, _ in pending], [told for *_, told in pending]
            )
            following = []
            for (number, _, _), passage in zip(pending, passages, strict=True):
                rest = self._rest(passage)
                found[number].append(replace(passage, rest=rest))
                if rest is not None:
                    following.append((number, rest, _told(passage.decoded)))
            pending = following
        kept = [
            passage
            for passages in found
            for passage in passages
            if not passage.decoded.is_silence and passage.split.drafts
        ]
        if self._settings.word_timestamps:
            self._place_words(network, kept)
        segments: list[Segment] = []
        for passage in kept:
            segments += self._segments(passage, self._count + len(segments))
        self._count += len(segments)
        return segments

    def _decode(
        self, network: Network, windows: Sequence[Window], told: Sequence[list[int]]
    ) -> list[_Passage]:
        """Decode windows side by side; what looks wrong once more with all of the 30 s, then ever warmer."""
        # Which language it is, a trimmed view tells less surely.
        is_known = self.language is not None or not network.is_multilingual
        frames = network.view.frames(windows) if is_known else WHOLE
        states = self._hear(network, windows, frames)
        writer, tokenizer = self._ready(network, windows, states)
        prompt = self._prompt(tokenizer)
        heard = Heard(states, [prompt + each for each in told], [window.start for window in windows])
        decoded = writer.first(heard)
        states_of = list(states)
        again = [n for n, each in enumerate(decoded) if each.is_doubtful or each.is_silence]
        if again:
            if frames < WHOLE:
                heard = replace(
                    heard.part(again), states=self._hear(network, [windows[n] for n in again], WHOLE)
                )
                second = writer.first(heard)
            else:
                heard, second = heard.part(again), [decoded[n] for n in again]
            for n, better, seen in zip(again, writer.warmer(heard, second), heard.states, strict=True):
                decoded[n], states_of[n] = better, seen
        return [
            _Passage(
                window,
                each,
                split(
                    each.tokens,
                    timestamp_begin=tokenizer.timestamp_begin,
                    end_of_text=tokenizer.eot,
                    frames=window.frames,
                ),
                seen,
            )
            for window, each, seen in zip(windows, decoded, states_of, strict=True)
        ]

    def _hear(self, network: Network, windows: Sequence[Window], frames: int) -> Tensor:
        return network.encoder(
            spectrograms(windows, frames, bands=network.dims.n_mels, device=network.device)
        )

    def _ready(self, network: Network, windows: Sequence[Window], states: Tensor) -> tuple[Writer, Tokenizer]:
        """Return what writes in the language of the recording, which is detected if it is not known."""
        if self._writer is None or self._tokenizer is None:
            if self.language is None:
                self.language = _language_of(network, windows, states)
            self._tokenizer = network.tokenizer(self.language, self._settings.task)
            self._writer = Writer(network.decoder, self._tokenizer, self._settings)
        return self._writer, self._tokenizer

    def _prompt(self, tokenizer: Tokenizer) -> list[int]:
        first = self._settings.initial_prompt
        return encode(tokenizer, " " + first.strip())[-_PROMPT:] if first else []

    def _rest(self, passage: _Passage) -> Window | None:
        """Return what the model left undone of a window, if someone speaks in it."""
        window, result = passage.window, passage.split
        if passage.decoded.is_silence:
            return None
        ends = max((draft.end for draft in result.drafts), default=0.0)
        done = ends if result.ends_in_silence else result.advance * FRAME / 16_000
        left = window.speech(window.start_seconds + done, window.end_seconds)
        least = _MISSED if result.ends_in_silence else _UNFINISHED
        if done <= 0.1 or left < least:
            return None
        return window.rest(done)

    def _place_words(self, network: Network, passages: Sequence[_Passage]) -> None:
        """Give the drafts their words, those of passages that were seen at the same length together."""
        alike: dict[int, list[_Passage]] = defaultdict(list)
        for passage in passages:
            alike[len(passage.states)].append(passage)
        words: dict[int, list[Placed]] = {}
        groups = [each[n : n + _ALIGNED] for each in alike.values() for n in range(0, len(each), _ALIGNED)]
        for group in groups:
            texts = [[token for draft in passage.split.drafts for token in draft.tokens] for passage in group]
            aligned = align(
                network.decoder,
                network.tokenizer(self.language or "en", self._settings.task),
                network.alignment_heads,
                torch.stack([passage.states for passage in group]),
                texts,
                [passage.frames for passage in group],
            )
            words.update((id(passage), placed) for passage, placed in zip(group, aligned, strict=True))
        for passage in passages:
            begin = passage.window.start_seconds
            place(passage.split.drafts, words[id(passage)], self._last_speech - begin)
            self._last_speech = begin + passage.split.drafts[-1].end

    def _segments(self, passage: _Passage, number: int) -> list[Segment]:
        """Make segments of the drafts that hold text, lie inside the window, and were spoken."""
        window, decoded = passage.window, passage.decoded
        tokenizer = self._tokenizer
        made: list[Segment] = []
        for draft in passage.split.drafts:
            start, end = (_inside(window, seconds) for seconds in (draft.start, draft.end))
            start = max(start, self._last_end)
            text = "" if tokenizer is None else tokenizer.decode(draft.tokens)
            if start < end and text.strip() and not self._is_invented(window, decoded, start, end):
                words = (
                    None if draft.words is None else [_word(word, window, start, end) for word in draft.words]
                )
                made.append(
                    Segment(
                        id=number + len(made),
                        start=start,
                        end=end,
                        text=text,
                        avg_logprob=_finite(decoded.avg_logprob),
                        no_speech_prob=_finite(decoded.no_speech_prob),
                        compression_ratio=_finite(decoded.compression_ratio),
                        temperature=_finite(decoded.temperature),
                        words=words,
                    )
                )
                self._last_end = end
        return made

    def _is_invented(self, window: Window, decoded: Decoded, start: float, end: float) -> bool:
        """Tell whether a segment stands where nobody speaks, written without being sure of it."""
        if window.speech(start, end) >= _SPOKEN * (end - start):
            return False
        return self._settings.vad or decoded.avg_logprob < _SURE or decoded.no_speech_prob > _HEARD_SPEECH


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the tokens of ``text``. What looks like one of the model's control tokens is text like any other."""
    tokens: list[int] = tokenizer.encode(text, disallowed_special=())
    return tokens


def _language_of(network: Network, windows: Sequence[Window], states: Tensor) -> str:
    """Return the language that is most likely spoken, each window's word weighed by how long it is."""
    if not network.is_multilingual:
        return "en"
    votes: dict[str, float] = defaultdict(float)
    chances = language_chances(network.decoder, network.tokenizer("en", "transcribe"), states)
    for window, languages in zip(windows, chances, strict=True):
        for language, chance in languages.items():
            votes[language] += chance * window.seconds
    return max(votes, key=votes.__getitem__)


def _told(decoded: Decoded) -> list[int]:
    """Return what the rest of a window is told: what was written in it so far."""
    return decoded.tokens if decoded.temperature <= _TOO_HOT and not decoded.is_doubtful else []


def _inside(window: Window, seconds: float) -> float:
    """Return a place in the window as one in the recording, no later than the window's end."""
    return round(min(max(window.start_seconds + seconds, 0.0), window.end_seconds), 2)


def _word(word: Placed, window: Window, start: float, end: float) -> Word:
    """Return a word, its place bounded by its segment's."""
    begins = min(max(window.start_seconds + word.start, start), end)
    ends = min(max(window.start_seconds + word.end, begins), end)
    return Word(
        word=word.word,
        start=round(begins, 2),
        end=round(ends, 2),
        probability=_finite(word.probability) or 0.0,
    )


def _finite(number: float) -> float | None:
    """Return the number, or None for what JSON cannot say."""
    return number if math.isfinite(number) else None
