"""How much of a quota is used, as bars."""

from rich.text import Text
from textual.widgets import Static

from projectw_shared.accounts import Quota, Usage
from projectw_tui.display import bar, bounded, clock, size

WIDTH = 20

NEARLY = 0.9
"""The part of a bound from which a bar warns."""


class UsageBars(Static):
    """A line each for audio of the month, bytes stored and jobs that wait; without a bound there is no bar."""

    def show(self, quota: Quota, usage: Usage) -> None:
        """Show what is used, and of how much."""
        lines = (
            ("Audio this month", usage.audio_seconds, quota.audio_seconds, clock),
            ("Stored", usage.bytes, quota.bytes, size),
            ("Jobs that wait", usage.jobs, quota.jobs, str),
        )
        self.update(Text("\n").join(_line(*line) for line in lines))


def _line(title: str, used: float, bound: float | None, say: object) -> Text:
    assert callable(say)
    words = bounded(say(used), bound, say)
    if bound is None:
        return Text.assemble((f"{title:<18}", "dim"), f"{words}, without bound")
    fraction = used / bound if bound else 1.0
    done, rest = bar(fraction, WIDTH)
    style = "bold" if fraction >= NEARLY else ""
    note = "  (nearly all)" if NEARLY <= fraction < 1 else "  (all of it)" if fraction >= 1 else ""
    return Text.assemble((f"{title:<18}", "dim"), (done, style), (rest, "dim"), f"  {words}", (note, "bold"))
