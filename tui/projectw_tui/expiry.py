"""When something is to end, as a person writes it."""

import re
from datetime import UTC, datetime, timedelta

SPANS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

LONGEST = 36_500
"""Days that a token may be wished to last: more would leave the calendar."""


def expiry(text: str, now: datetime | None = None) -> datetime:
    """Return the moment that ``text`` means: a span from now, or a day, to its end in UTC.

    Raises ValueError with a sentence.
    """
    now = now or datetime.now(UTC)
    if span := re.fullmatch(r"(\d{1,6})([hdw])", text.strip()):
        length = int(span[1]) * SPANS[span[2]]
        if length > timedelta(days=LONGEST):
            raise ValueError(f"{text} is further away than any token lasts")
        end = now + length
    else:
        try:
            end = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ValueError(f"{text!r} is neither a span such as 90d nor a day such as 2027-03-31") from None
        if re.fullmatch(r"[\d-]+", text.strip()):
            end += timedelta(days=1)
        if end.tzinfo is None:
            end = end.replace(tzinfo=UTC)
    if end <= now:
        raise ValueError(f"{text} is over already")
    return end
