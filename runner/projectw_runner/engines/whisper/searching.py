"""The ways to find the text of windows: the likeliest token each time, samples, or beams. Imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from projectw_runner.engines.whisper.decoder import Batch
from projectw_runner.engines.whisper.rules import Rules, State


@dataclass(frozen=True)
class Written:
    """The tokens of a window, without the end, and the sum of their log probabilities, the end's included.

    ``loops``: it ends with a few tokens again and again; without beams the model was stopped there.
    """

    tokens: list[int]
    logprob: float
    loops: bool = False

    @property
    def avg_logprob(self) -> float:
        """The mean log probability of a token, the end counted as one."""
        return self.logprob / (len(self.tokens) + 1)


_LOOP: Final = 60
"""So many tokens that repeat themselves are a loop, from which no model finds out."""

_LONGEST_PERIOD: Final = 15


@dataclass
class _Open:
    """What one sequence has written so far."""

    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0

    def closed(self) -> Written:
        return Written(self.tokens, self.logprob, self.loops)

    @property
    def loops(self) -> bool:
        """The last tokens are a few that come again and again."""
        tail = self.tokens[-_LOOP:]
        return len(tail) == _LOOP and any(
            tail[period:] == tail[:-period] for period in range(1, _LONGEST_PERIOD + 1)
        )


@torch.inference_mode()
def greedy(batch: Batch, rules: Rules, logits: Tensor, most: int) -> list[Written]:
    """Take the likeliest token each time. ``logits``: after the prompts, a row each window; ``most``: tokens."""
    return [written for (written,) in _one_by_one(batch, rules, logits, most, _Likeliest())]


@torch.inference_mode()
def sample(
    batch: Batch,
    rules: Rules,
    logits: Tensor,
    most: int,
    *,
    temperatures: Sequence[float],
    seeds: Sequence[int],
) -> list[list[Written]]:
    """Draw for each window a sequence at each of ``temperatures``, as many as the batch is wide.

    ``seeds``, one a window, make it repeatable, whatever windows are beside it.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return _one_by_one(batch, rules, logits, most, _Drawn(temperatures, generators))


class _Likeliest:
    def __call__(self, rules: Rules, logits: Tensor, state: State, batch: Batch) -> tuple[Tensor, Tensor]:
        return rules.best(rules.apply(logits, state))


class _Drawn:
    def __init__(self, temperatures: Sequence[float], generators: list[torch.Generator]) -> None:
        self._temperatures = torch.tensor(temperatures)
        self._generators = generators

    def __call__(self, rules: Rules, logits: Tensor, state: State, batch: Batch) -> tuple[Tensor, Tensor]:
        chances = rules.log_probabilities(rules.apply(logits, state))
        # The likeliest after noise of this kind is a draw from the distribution (Gumbel 1954).
        draws = torch.cat(
            [
                torch.rand(batch.width, chances.shape[1], generator=self._generators[window])
                for window in batch.windows
            ]
        ).to(chances.device)
        noise = draws.clamp_(min=1e-20).log_().neg_().clamp_(min=1e-20).log_().neg_()
        heat = self._temperatures.to(chances.device).repeat(len(batch.windows))[:, None]
        place = (chances / heat + noise).argmax(1)
        return rules.token_of(place), chances.gather(1, place[:, None])[:, 0]


def _one_by_one(
    batch: Batch, rules: Rules, logits: Tensor, most: int, choose: "_Likeliest | _Drawn"
) -> list[list[Written]]:
    """Write until each sequence has ended; a window leaves when all of its sequences have."""
    width = batch.width
    logits = logits.repeat_interleave(width, 0)
    state = State(rules, len(logits), logits.device)
    open_ = [[_Open() for _ in range(width)] for _ in batch.windows]
    done: list[list[Written]] = [[] for _ in batch.windows]
    ended = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    for count in range(1, most + 1):
        tokens, logprobs = choose(rules, logits, state, batch)
        tokens = torch.where(ended, rules.end, tokens)
        ended = torch.tensor(
            _note(batch, open_, tokens.tolist(), logprobs.tolist(), ended.tolist(), rules.end),
            device=logits.device,
        )
        if count == most:
            break
        finished = ended.view(-1, width).all(1).tolist()
        leaving = [window for window, is_done in zip(batch.windows, finished, strict=True) if is_done]
        if leaving:
            rows = _without(batch, leaving, len(tokens)).to(logits.device)
            for window in leaving:
                done[window] = [each.closed() for each in open_[window]]
            if not batch.windows:
                return done
            tokens, ended = tokens[rows], ended[rows]
            state.keep(rows)
        state.wrote(tokens)
        logits = batch.step(tokens)
    for window in batch.windows:
        done[window] = [each.closed() for each in open_[window]]
    return done


def _note(
    batch: Batch,
    open_: list[list[_Open]],
    tokens: list[int],
    logprobs: list[float],
    ended: list[bool],
    end: int,
) -> list[bool]:
    """Add what each row has written to its sequence, and return which have ended by now."""
    sequences = [sequence for window in batch.windows for sequence in open_[window]]
    for row, sequence in enumerate(sequences):
        if not ended[row]:
            sequence.logprob += logprobs[row]
            if tokens[row] != end:
                sequence.tokens.append(tokens[row])
            ended[row] = tokens[row] == end or sequence.loops
    return ended


def _without(batch: Batch, leaving: list[int], rows: int) -> Tensor:
    """Let windows leave the batch; return which of the ``rows`` before stands in each of those after."""
    places = list(range(rows // batch.width))
    for window in leaving:
        place = batch.leave(window)
        places[place] = places[-1]
        places.pop()
    width = batch.width
    return torch.tensor([place * width + n for place in places for n in range(width)], dtype=torch.long)


def likeliest(sequences: list[Written]) -> Written:
    """Return the likeliest by its length; one that was stopped in a loop only if all were."""
    return max(sequences, key=lambda each: (not each.loops, each.logprob / max(len(each.tokens), 1)))


@torch.inference_mode()
def beams(batch: Batch, rules: Rules, logits: Tensor, most: int) -> list[Written]:
    """Keep the ``batch.width`` likeliest sequences of each window (whisper.decoding, BeamSearchDecoder)."""
    width = batch.width
    logits = logits.repeat_interleave(width, 0)
    state = State(rules, len(logits), logits.device)
    open_ = {window: [_Open() for _ in range(width)] for window in batch.windows}
    done: dict[int, list[Written]] = {window: [] for window in batch.windows}
    for count in range(1, most + 1):
        chances = rules.log_probabilities(rules.apply(logits, state))
        best, places = chances.topk(width + 1, dim=1)
        tokens = rules.token_of(places).tolist()
        sources: list[int] = []
        following: list[int] = []
        for number, window in enumerate(batch.windows):
            rows = slice(number * width, (number + 1) * width)
            kept = _extend(
                open_[window], best[rows].tolist(), tokens[rows], done[window], rules.end, count == 1
            )
            sources += [number * width + source for source, _ in kept]
            following += [sequence.tokens[-1] for _, sequence in kept]
            open_[window] = [sequence for _, sequence in kept]
        if count == most:
            break
        origin = torch.tensor(sources, device=logits.device)
        batch.reorder(origin)
        state.keep(origin)
        written = torch.tensor(following, device=logits.device)
        leaving = [window for window in batch.windows if len(done[window]) >= width]
        if leaving:
            rows_left = _without(batch, leaving, len(written)).to(logits.device)
            if not batch.windows:
                break
            written = written[rows_left]
            state.keep(rows_left)
        state.wrote(written)
        logits = batch.step(written)
    return [_best_beam(done[window], open_[window], width) for window in sorted(done)]


def _extend(
    open_: list[_Open],
    best: list[list[float]],
    tokens: list[list[int]],
    done: list[Written],
    end: int,
    first: bool,
) -> list[tuple[int, _Open]]:
    """Return the likeliest continuations and which sequence each goes on; ended ones are added to ``done``."""
    width = len(open_)
    # At first all sequences of a window are the same.
    candidates = [
        (sequence.logprob + logprob, source, token)
        for source, sequence in enumerate(open_[:1] if first else open_)
        for logprob, token in zip(best[source], tokens[source], strict=True)
    ]
    candidates.sort(key=lambda each: each[0], reverse=True)
    kept: list[tuple[int, _Open]] = []
    ended: list[Written] = []
    for logprob, source, token in candidates:
        if token == end:
            ended.append(Written(open_[source].tokens, logprob))
            continue
        kept.append((source, _Open([*open_[source].tokens, token], logprob)))
        if len(kept) == width:
            break
    done += ended[: width - len(done)]
    return kept


def _best_beam(done: list[Written], open_: list[_Open], width: int) -> Written:
    if len(done) < width:
        unfinished = sorted(open_, key=lambda each: each.logprob, reverse=True)
        done = done + [each.closed() for each in unfinished[: width - len(done)]]
    return likeliest(done)
