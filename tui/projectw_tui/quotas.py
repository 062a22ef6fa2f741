"""Bounds as a person writes them: hours, bytes with a unit, numbers of jobs. Nothing is without bound."""

import math
import re

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

NONE = ("", "none")


def seconds_of_hours(text: str) -> float | None:
    """Return seconds for a number of hours, None for nothing or ``none``. Raises ValueError with a sentence."""
    if text in NONE:
        return None
    try:
        seconds = float(text) * 3600
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{text!r} is no number of hours")
    return seconds


def number_of_bytes(text: str) -> int | None:
    """Return bytes for ``500M`` or ``20 GB``, None for nothing or ``none``. Raises ValueError with a sentence."""
    if text in NONE:
        return None
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kMGT]?)B?", text)
    if found is None:
        raise ValueError(f"{text!r} is no size such as 500M or 20G")
    return round(float(found[1]) * UNITS[found[2]])


def number_of_jobs(text: str) -> int | None:
    """Return a number of jobs, None for nothing or ``none``. Raises ValueError with a sentence."""
    if text in NONE:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{text!r} is no number of jobs")
    return int(text)


def hours_in_words(seconds: float | None) -> str:
    """Return what ``seconds_of_hours`` reads back."""
    return "" if seconds is None else f"{seconds / 3600:.15g}"


def size_in_words(count: int | None) -> str:
    """Return what ``number_of_bytes`` reads back, without loss."""
    if count is None:
        return ""
    for unit in ("T", "G", "M", "k"):
        if count and count % UNITS[unit] == 0:
            return f"{count // UNITS[unit]}{unit}"
    return str(count)
