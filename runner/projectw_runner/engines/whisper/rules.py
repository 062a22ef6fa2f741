"""What the model may write next: the reference's rules, as masks that stay on the device. Imports torch."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from whisper.tokenizer import Tokenizer

_FIRST_TIME: Final = 50
"""The first time stamp is at most 1 s, in steps of 20 ms."""

_NEVER: Final = float("-inf")


@dataclass(frozen=True)
class Candidates:
    """What may come next in each row: text up to the end of the text, then the time stamps, in one list.

    ``text`` and ``times`` are logits, -inf for what may not come; ``total`` is the logarithm of their sum, so that
    ``logit - total`` is a log probability.
    """

    text: Tensor
    times: Tensor
    total: Tensor
    only_times: Tensor


class Rules:
    """The rules for a tokenizer, on a device (whisper.decoding, ApplyTimestampRules and the suppressing filters)."""

    def __init__(self, tokenizer: Tokenizer, device: torch.device) -> None:
        self.end = tokenizer.eot
        self.first_time = tokenizer.timestamp_begin
        self.no_speech = tokenizer.no_speech
        suppressed = [token for token in tokenizer.non_speech_tokens if token <= self.end]
        self._suppressed = torch.tensor(suppressed, device=device)

    def apply(self, logits: Tensor, state: "State") -> Candidates:
        """Return what may come next. ``logits``, rows × vocabulary, is changed."""
        text, times = logits[:, : self.end + 1], logits[:, self.first_time :]
        text[:, self._suppressed] = _NEVER
        times.masked_fill_(state.forbidden_times(times.shape[1]), _NEVER)
        of_times = times.logsumexp(1)
        if state.begins:
            # Every window begins with a time stamp.
            return Candidates(text, times, of_times, torch.ones_like(of_times, dtype=torch.bool))
        if bool(state.only_end.any()):
            text[state.only_end, : self.end] = _NEVER
        only_times = of_times > text.amax(1)
        total = torch.where(only_times, of_times, torch.logaddexp(text.logsumexp(1), of_times))
        return Candidates(text, times, total, only_times)

    def best(self, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Return the likeliest token of each row and its log probability."""
        text, token = candidates.text.max(1)
        time, place = candidates.times.max(1)
        by_time = candidates.only_times | (time >= text)
        return (
            torch.where(by_time, place + self.first_time, token),
            torch.where(by_time, time, text) - candidates.total,
        )

    def log_probabilities(self, candidates: Candidates) -> Tensor:
        """Return rows × (text, then times); ``token_of`` turns a place in it into a token."""
        text = candidates.text.masked_fill(candidates.only_times[:, None], _NEVER)
        return torch.cat([text, candidates.times], 1).sub_(candidates.total[:, None])

    def token_of(self, place: Tensor) -> Tensor:
        """Return the token at a place of the list of candidates."""
        return torch.where(place <= self.end, place, place - (self.end + 1) + self.first_time)


class State:
    """What the rules have to know of what each row has written so far. Rows are kept in step with a ``Batch``."""

    def __init__(self, rules: Rules, rows: int, device: torch.device) -> None:
        self._rules = rules
        self.begins = True
        self._least = torch.zeros(rows, dtype=torch.long, device=device)
        """The earliest time stamp that may still come."""
        self._after_time = torch.zeros(rows, dtype=torch.bool, device=device)
        self._after_pair = torch.zeros(rows, dtype=torch.bool, device=device)

    @property
    def only_end(self) -> Tensor:
        """Rows with one time stamp behind text: another, or the end, has to follow."""
        return self._after_time & ~self._after_pair

    def forbidden_times(self, count: int) -> Tensor:
        """Return rows × ``count``, True for the time stamps that may not come."""
        steps = torch.arange(count, device=self._least.device)
        if self.begins:
            return (steps > _FIRST_TIME).expand(len(self._least), -1)
        return (steps < self._least[:, None]) | self._after_pair[:, None]

    def wrote(self, tokens: Tensor) -> None:
        """Note what each row has written."""
        time = tokens - self._rules.first_time
        is_time = time >= 0
        # The end of a segment may be the start of the next; after such a pair time has to go on.
        after_pair = is_time if self.begins else is_time & self._after_time
        self._least = torch.where(is_time, time + after_pair.long(), self._least)
        self._after_time, self._after_pair = is_time, after_pair
        self.begins = False

    def keep(self, rows: Tensor) -> None:
        """Let row n be what row ``rows[n]`` was."""
        self._least, self._after_time, self._after_pair = (
            each[rows] for each in (self._least, self._after_time, self._after_pair)
        )
